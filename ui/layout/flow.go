package layout

import (
	"kosk/device/scene"
	"kosk/ui/theme"
)

// A block is a piece of a page that isn't divided: it is measured first, and
// drawn where it fits.
type block struct {
	ids    []string
	height float32
	gap    float32 // air above it, not at the top of a page
	stick  bool    // stays with the block after it: a heading
	card   bool    // is a row of a card
	join   bool    // continues the card of the block before it
	draw   func(r Rect)
}

// flow sets header and body into the room above the bottom bar and the keys,
// dividing the body into pages, and returns where the page's content ends.
func (p *pen) flow(room Rect, pages [][]block) float32 {
	p.Pages = max(len(pages), 1)
	p.Page = p.pageOfFocus(pages)
	at := p.header(room)
	if len(pages) == 0 {
		return at
	}
	for _, page := range pages {
		first := p.view.Scene.Role(scene.Title).ID
		if len(page) > 0 {
			first = page[0].ids[0]
		}
		p.Firsts = append(p.Firsts, first)
	}
	page := pages[p.Page]
	for i := 0; i < len(page); {
		j := i + 1
		for j < len(page) && page[j].join {
			j++
		}
		at = p.run(page[i:j], Rect{room.X, at, room.W, 0}, i > 0)
		i = j
	}
	return at
}

// divide makes the pages of the body. The rows of a card stand closer where that
// saves a page.
func (p *pen) divide(room Rect) [][]block {
	foot := p.mm(4)
	first, later := p.headerHeight(room.W, 0), p.headerHeight(room.W, 1)
	set := func(snug bool) [][]block {
		p.snug = snug
		return paginate(p.blocks(room.W), room.H-first-foot, room.H-later-foot)
	}
	pages := set(false)
	if closer := set(true); len(closer) < len(pages) {
		return closer
	}
	return pages
}

// run draws a run of joined blocks (the rows of one card) or a single block, and
// returns where the next begins.
func (p *pen) run(blocks []block, r Rect, gap bool) float32 {
	if gap {
		r.Y += blocks[0].gap
	}
	card := blocks[0].card
	var h float32
	for _, b := range blocks {
		h += b.height
	}
	if card {
		p.box(Rect{r.X, r.Y, r.W, h}, p.pal.Card, p.pal.Hair, theme.Stroke, theme.CardCorner)
	}
	y := r.Y
	for i, b := range blocks {
		if card && i > 0 {
			pad := p.mm(theme.CardPad)
			p.box(Rect{r.X + pad, y, r.W - 2*pad, p.mm(0.4)}, p.pal.Hair, p.pal.Hair, 0, 0)
		}
		b.draw(Rect{r.X, y, r.W, b.height})
		y += b.height
	}
	return y
}

// paginate divides blocks into pages, the first of at most first pixels, the
// others of later. The rules are: a heading never ends a page; what doesn't fit
// under the whole header begins on the next page, under the title alone; a block
// taller than a page has a page of its own.
func paginate(blocks []block, first, later float32) [][]block {
	var pages [][]block
	var page []block
	var used float32
	h := first
	for i := 0; i < len(blocks); {
		j := i + 1
		for j < len(blocks) && blocks[j-1].stick {
			j++
		}
		var need float32
		for k := i; k < j; k++ {
			need += blocks[k].height
			if (k > i || len(page) > 0) && !blocks[k].join {
				need += blocks[k].gap
			}
		}
		if used+need > h && (len(page) > 0 || len(pages) == 0 && later > first) {
			pages, page, used, h = append(pages, page), nil, 0, later
			continue
		}
		if len(page) == 0 {
			blocks[i].join = false
		}
		page = append(page, blocks[i:j]...)
		used += need
		i = j
	}
	if len(page) > 0 {
		pages = append(pages, page)
	}
	return pages
}

// pageOfFocus is the page on which the focus lies: the first for what stands
// before the body, the last for what stands after it. Without a focus, and while
// it rests on the keys, what is typed is seen.
func (p *pen) pageOfFocus(pages [][]block) int {
	if len(pages) < 2 {
		return 0
	}
	on := map[string]int{}
	for i, page := range pages {
		for _, b := range page {
			for _, id := range b.ids {
				on[id] = i
			}
		}
	}
	if i, ok := on[p.view.Focus]; ok {
		return i
	}
	role := scene.Key
	if n := p.view.Scene.Find(p.view.Focus); n != nil {
		role = n.Role
	}
	switch role {
	case scene.Back, scene.Leave, scene.Next, scene.Status:
		return len(pages) - 1
	case scene.Key:
		if n := p.view.Scene.Role(scene.Field); n != nil {
			return on[n.ID]
		}
	}
	return 0
}

// blocks turns the nodes of the body into blocks, in their order.
func (p *pen) blocks(w float32) []block {
	var blocks []block
	nodes := p.view.Scene.Nodes
	for i := 0; i < len(nodes); i++ {
		n := &nodes[i]
		switch n.Role {
		case scene.Tile:
			j := i
			for j < len(nodes) && nodes[j].Role == scene.Tile {
				j++
			}
			blocks = append(blocks, p.tiles(nodes[i:j], w)...)
			i = j - 1
		case scene.Datum:
			before := i > 0 && nodes[i-1].Role == scene.Datum
			after := i+1 < len(nodes) && nodes[i+1].Role == scene.Datum
			b := p.datum(n, w, !before && !after)
			b.card, b.join = true, before
			blocks = append(blocks, b)
		default:
			if b, ok := p.single(n, w); ok {
				blocks = append(blocks, b)
			}
		}
	}
	return blocks
}

// single is the block of a node that stands alone; nodes of the bars and the
// keypad have none.
func (p *pen) single(n *scene.Node, w float32) (block, bool) {
	switch n.Role {
	case scene.Choice, scene.Button:
		return p.choice(n, w), true
	case scene.Field:
		return p.field(n, w), true
	case scene.Heading:
		return p.text(n, w, theme.Label, 8, true), true
	case scene.Text:
		if p.view.Scene.Kind == scene.Problem { // what to do now
			return p.text(n, w, theme.Answer, 7, false), true
		}
		return p.text(n, w, theme.Body, 4, false), true
	case scene.Note:
		return p.note(n, w), true
	case scene.Figure:
		return p.figure(n, w), true
	case scene.Code:
		return p.code(n, w), true
	case scene.Progress:
		return p.progress(n, w), true
	}
	return block{}, false
}
