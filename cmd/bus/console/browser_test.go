package console

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"kosk/cmd/bus/server"
)

// A browser is a headless Chromium with one tab.
type browser struct {
	*bench
	ctx context.Context
}

// chromium opens one, or skips the test where there is none.
func (b *bench) chromium() *browser {
	b.t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		b.t.Skip("chromium is not installed: build/deps installs it")
	}
	// The page is known by its very key, as after importing the bus's CA.
	conn := must(tls.Dial("tcp", strings.TrimPrefix(b.url, "https://"), &tls.Config{RootCAs: b.Registry.Keys().Pool(), MinVersion: tls.VersionTLS13}))(b.t)
	key := sha256.Sum256(conn.ConnectionState().PeerCertificates[0].RawSubjectPublicKeyInfo)
	_ = conn.Close() // it was only looked at
	ctx, cancel := context.WithTimeout(b.t.Context(), 5*time.Minute)
	b.t.Cleanup(cancel)
	dir := must(os.MkdirTemp("", "kosk-console-"))(b.t)
	b.t.Cleanup(func() { _ = os.RemoveAll(dir) }) // it may still be writing
	ctx, stop := chromedp.NewExecAllocator(ctx,
		chromedp.ExecPath(path), chromedp.UserDataDir(dir), chromedp.Env("TMPDIR="+dir), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("hide-scrollbars", true),
		chromedp.Flag("ignore-certificate-errors-spki-list", base64.StdEncoding.EncodeToString(key[:])),
	)
	b.t.Cleanup(stop)
	ctx, closeTab := chromedp.NewContext(ctx)
	b.t.Cleanup(closeTab)
	return &browser{b, ctx}
}

func (b *browser) run(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// call is a command of the browser's protocol.
func call[P, R any](c cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, t *chromedp.Target) (v chromedp.Void, err error) {
		_, err = cdp.Call(ctx, t, c, params)
		return v, err
	}
}

// size sets the window in CSS pixels. Zooming a page to 200 % in a window is the
// same page in a window of half the width with twice the pixels.
func (b *browser) size(width, height int64, scale float64) {
	b.t.Helper()
	b.run(call(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: scale}))
}

func (b *browser) dark(on bool) {
	b.t.Helper()
	scheme := "light"
	if on {
		scheme = "dark"
	}
	b.run(call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}))
}

func (b *browser) open(path string) {
	b.t.Helper()
	b.run(chromedp.Navigate(b.url+path), chromedp.WaitReady("#main"))
}

// shot takes a picture where KOSK_SHOTS names a folder.
func (b *browser) shot(name string) {
	b.t.Helper()
	dir := os.Getenv("KOSK_SHOTS")
	if dir == "" {
		return
	}
	png := must(chromedp.Run(b.ctx, chromedp.FullScreenshot(100)))(b.t)
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// ask evaluates an expression in the page.
func ask[T any](b *browser, expression string) T {
	b.t.Helper()
	return must(chromedp.Run(b.ctx, chromedp.Evaluate[T](expression)))(b.t)
}

// keys types without a mouse.
func (b *browser) keys(text string) {
	b.t.Helper()
	b.run(chromedp.KeyEvent(text))
}

func (b *browser) waitPath(path string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 20*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	there := chromedp.Evaluate[bool](fmt.Sprintf(`location.pathname === %q && document.readyState === "complete"`, path))
	for {
		if ok, err := chromedp.Run(ctx, there); err == nil && ok { // on the way from page to page there is nothing to ask
			return
		}
		select {
		case <-ctx.Done():
			b.t.Fatalf("never came to %s", path)
		case <-tick.C:
		}
	}
}

// signIn types name and password, from the top of the page on.
func (b *browser) signIn(name string) {
	b.t.Helper()
	b.open("/login")
	b.keys(kb.Tab + kb.Tab + kb.Tab + name + kb.Tab + password + kb.Enter)
	b.waitPath("/")
}

// everyPage are the pages of a bus with a fleet, a request and statistics.
func everyPage(id string) []string {
	return []string{"/", "/kiosk/ASAN-BAKU-5-KIOSK-01", "/kiosk/ASAN-LANKARAN-KIOSK-01", "/messages?id=" + id, "/messages?id=nothing", "/statistics?month=2014-12&of=mlspp", "/bus", "/nowhere"}
}

func (b *bench) full() (id string) {
	b.t.Helper()
	b.fleet()
	b.december()
	id, _ = b.submit("ASAN-BAKU-1-KIOSK-04", 0)
	if err := (server.Control{Socket: filepath.Join(b.dir, "bus.sock")}).ClearFaults(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	_, err := server.Control{Socket: filepath.Join(b.dir, "bus.sock")}.SetFault(b.t.Context(), server.Fault{Name: "slow", Service: "intake", Times: 3})
	if err != nil {
		b.t.Fatal(err)
	}
	return id
}

// visibleFocus says where the focus is and whether it can be seen there.
const visibleFocus = `(() => {
	const e = document.activeElement, s = getComputedStyle(e), r = e.getBoundingClientRect();
	return {
		what: e.id || e.textContent.trim().slice(0, 40), ring: parseFloat(s.outlineWidth), style: s.outlineStyle,
		seen: r.width > 0 && r.height > 0 && r.left >= 0 && r.top >= -1 && r.right <= innerWidth + 1,
	};
})()`

// A focus is what visibleFocus says.
type focus struct {
	What, Style string
	Ring        float64
	Seen        bool
}

func TestKeyboardAlone(t *testing.T) {
	b := open(t)
	b.fleet()
	br := b.chromium()
	br.size(1280, 900, 1)
	br.open("/login")
	var order []string
	for range 5 {
		br.keys(kb.Tab)
		f := ask[focus](br, visibleFocus)
		order = append(order, f.What)
		if f.Ring < 2 || f.Style != "solid" || !f.Seen {
			t.Errorf("focus on %q can't be seen: %+v", f.What, f)
		}
	}
	if want := []string{"Skip to the content", "Köşk bus", "name", "password", "Sign in"}; !slices.Equal(order, want) {
		t.Errorf("tab order %q, want %q", order, want)
	}
	br.signIn("nigar")
	order = nil
	for range 9 {
		br.keys(kb.Tab)
		f := ask[focus](br, visibleFocus)
		order = append(order, f.What)
		if f.Ring < 2 || f.Style != "solid" || !f.Seen {
			t.Errorf("focus on %q can't be seen: %+v", f.What, f)
		}
	}
	want := []string{"Skip to the content", "Köşk bus", "Kiosks", "Messages", "Statistics", "Bus", "Sign out", "ASAN-BAKU-5-KIOSK-01", "ASAN-GANJA-KIOSK-02"}
	if !slices.Equal(order, want) {
		t.Errorf("tab order %q, want %q", order, want)
	}
	br.shot("focus")
	// The link to the content jumps over the menu.
	br.open("/")
	br.keys(kb.Tab + kb.Enter + kb.Tab)
	if f := ask[focus](br, visibleFocus); f.What != "ASAN-BAKU-5-KIOSK-01" {
		t.Errorf("after the skip link: %q", f.What)
	}
	// A search, without a mouse.
	br.open("/messages")
	for range 8 {
		br.keys(kb.Tab)
	}
	br.keys("01ARZ3NDEKTSV4RRFFQ69G5FAV" + kb.Enter)
	br.run(chromedp.WaitVisible("#problem"))
	if got := ask[string](br, `document.querySelector("#problem").textContent`); got != "Nothing is known of this id." {
		t.Errorf("search says %q", got)
	}
}

func TestWorstFirstOnThePage(t *testing.T) {
	b := open(t)
	b.fleet()
	br := b.chromium()
	br.size(1280, 900, 1)
	br.signIn("rauf")
	got := ask[[]string](br, `[...document.querySelectorAll("tbody th a")].map(a => a.textContent)`)
	want := []string{
		"ASAN-BAKU-5-KIOSK-01", "ASAN-GANJA-KIOSK-02", "ASAN-SHEKI-KIOSK-01", "DOST-BAKU-KIOSK-03", "ASAN-LANKARAN-KIOSK-01",
		"ASAN-BAKU-1-KIOSK-04", "ASAN-BAKU-1-KIOSK-05",
	}
	if !slices.Equal(got, want) {
		t.Errorf("order %q, want %q", got, want)
	}
}

func TestChartsHaveTheirTablesNumbers(t *testing.T) {
	b := open(t)
	m := b.december()
	br := b.chromium()
	br.size(1280, 900, 1)
	br.signIn("rauf")
	br.open("/statistics?month=2014-12")
	for table, want := range map[string][]uint64{"agencies": nil, "services": nil} {
		tables := m.Tables()
		for _, a := range tables.Agencies {
			if table == "agencies" {
				want = append(want, a.Uses)
			}
		}
		for _, s := range tables.Top {
			if table == "services" {
				want = append(want, s.Uses)
			}
		}
		rows := ask[[]struct {
			Uses  string
			Width float64
			Whole float64
		}](br, fmt.Sprintf(`[...document.querySelectorAll("#%s tbody tr")].map(r => ({
			Uses: r.querySelector(".uses").textContent, Width: r.querySelector("rect").getBoundingClientRect().width,
			Whole: r.querySelector("svg").getBoundingClientRect().width}))`, table))
		if len(rows) != len(want) {
			t.Fatalf("%s: %d rows, want %d", table, len(rows), len(want))
		}
		for i, r := range rows {
			if n, err := strconv.ParseUint(strings.ReplaceAll(r.Uses, ",", ""), 10, 64); err != nil || n != want[i] {
				t.Errorf("%s row %d: %q, want %d", table, i, r.Uses, want[i])
			}
			if drawn := r.Whole * float64(want[i]) / float64(want[0]); r.Width < drawn-1 || r.Width > drawn+1 {
				t.Errorf("%s row %d is drawn %.1f px long, want %.1f", table, i, r.Width, drawn)
			}
		}
	}
	columns := ask[[]struct {
		Month, Table string
		Uses         string
		Height       float64
	}](br, `[...document.querySelectorAll(".course rect")].map(r => ({
		Month: r.dataset.month, Uses: r.dataset.uses, Height: r.getBoundingClientRect().height,
		Table: document.querySelector("tr[data-month='" + r.dataset.month + "'] td").textContent}))`)
	if len(columns) != 4 { // September to December, October without counts
		t.Fatalf("%d columns: %+v", len(columns), columns)
	}
	last := columns[3]
	for i, want := range []uint64{0, 0, 0, 595596} {
		c := columns[i]
		if c.Uses != strings.ReplaceAll(c.Table, ",", "") || want > 0 && c.Uses != strconv.FormatUint(want, 10) {
			t.Errorf("%s: drawn %s, in the table %s", c.Month, c.Uses, c.Table)
		}
		uses, _ := strconv.ParseFloat(c.Uses, 64)
		if drawn := last.Height * uses / 595596; c.Height < drawn-1 || c.Height > drawn+1 {
			t.Errorf("%s is drawn %.1f px high, want %.1f", c.Month, c.Height, drawn)
		}
	}
}

// overflow lists what is cut off or sticks out to the right.
const overflow = `(() => {
	const out = [], doc = document.documentElement;
	if (doc.scrollWidth > innerWidth) out.push("the page scrolls: " + doc.scrollWidth + " > " + innerWidth);
	for (const e of document.querySelectorAll("body *")) {
		const s = getComputedStyle(e), r = e.getBoundingClientRect();
		if (s.display === "none" || s.clipPath !== "none" || e.closest("thead, .skip, .hidden, option, optgroup, svg") || r.width === 0) continue;
		if (r.right > innerWidth + 1 || r.left < -1) out.push(e.tagName + "." + e.className + " sticks out: " + r.left + " to " + r.right);
		if (e.tagName !== "SELECT" && e.tagName !== "INPUT" && s.overflowX !== "visible" && e.scrollWidth > e.clientWidth + 1) out.push(e.tagName + "." + e.className + " is cut");
	}
	return out;
})()`

// contrast lists texts below 7:1, and borders of controls below 3:1, by WCAG 2.2,
// 1.4.3, 1.4.6 and 1.4.11, and how much the lowest has.
const contrast = `(() => {
	const parse = c => { const m = c.match(/[\d.]+/g).map(Number); return { rgb: m.slice(0, 3), a: m.length > 3 ? m[3] : 1 }; };
	const lum = rgb => { const [r, g, b] = rgb.map(v => { v /= 255; return v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; }); return .2126 * r + .7152 * g + .0722 * b; };
	const ratio = (a, b) => { const [x, y] = [lum(a), lum(b)].sort((p, q) => q - p); return (x + .05) / (y + .05); };
	const ground = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.a === 1) return c.rgb; } return [255, 255, 255]; };
	const low = []; let lowest = 21, seen = 0;
	const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (walk.nextNode()) {
		const e = walk.currentNode.parentElement;
		if (!walk.currentNode.textContent.trim() || e.closest("option, optgroup, title")) continue;
		const s = getComputedStyle(e), colour = parse(e.namespaceURI.endsWith("svg") ? s.fill : s.color);
		const n = ratio(colour.rgb, ground(e)); seen++;
		lowest = Math.min(lowest, n);
		if (n < 7) low.push(n.toFixed(2) + " " + walk.currentNode.textContent.trim().slice(0, 40));
	}
	for (const e of document.querySelectorAll("input, select, button")) {
		if (e.type === "hidden") continue;
		const n = ratio(parse(getComputedStyle(e).borderTopColor).rgb, ground(e.parentElement));
		if (n < 3) low.push("border " + n.toFixed(2) + " " + (e.id || e.textContent));
	}
	return { Low: low, Lowest: lowest, Seen: seen };
})()`

// structure lists what a screen reader would miss.
const structure = `(() => {
	const out = [], all = q => [...document.querySelectorAll(q)];
	if (document.documentElement.lang !== "en") out.push("no language");
	for (const [q, n] of [["h1", 1], ["main", 1], ["header", 1], ["footer", 1], ["title", 1]]) if (all((q === "title" ? "head > " : "") + q).length !== n) out.push(q + ": " + all(q).length);
	let last = 0;
	for (const h of all("h1, h2, h3, h4")) { const l = +h.tagName[1]; if (l > last + 1) out.push("heading jumps: " + h.textContent); last = l; }
	for (const t of all("table")) {
		if (!t.caption || !t.caption.textContent.trim()) out.push("table without a caption");
		for (const h of t.querySelectorAll("th")) if (!["col", "row"].includes(h.scope)) out.push("th without scope: " + h.textContent);
	}
	for (const i of all("input:not([type=hidden]), select")) if (!i.labels.length) out.push("no label: " + i.name);
	for (const b of all("a, button")) if (!b.textContent.trim()) out.push("no name: " + b.outerHTML);
	for (const s of all("svg:not(svg svg)")) if (s.getAttribute("aria-hidden") !== "true" && !s.querySelector("title")) out.push("drawing without words");
	for (const i of all("img")) if (!i.hasAttribute("alt")) out.push("img without alt");
	const ids = all("[id]").map(e => e.id);
	for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) out.push("id twice: " + id);
	for (const e of all("[aria-labelledby], [aria-describedby]")) for (const id of ((e.getAttribute("aria-labelledby") || "") + " " + (e.getAttribute("aria-describedby") || "")).trim().split(/\s+/)) if (!ids.includes(id)) out.push("refers to nothing: " + id);
	for (const e of all(".badge")) if (!e.querySelector("svg") || !e.textContent.trim()) out.push("badge says it by colour alone");
	if (all("script, [style], [onclick]").length) out.push("inline script or style");
	return out;
})()`

func TestPagesAreReadable(t *testing.T) {
	b := open(t)
	id := b.full()
	br := b.chromium()
	views := []struct {
		name          string
		width, height int64
		scale         float64
		dark          bool
	}{
		{"wide", 1280, 900, 1, false}, {"wide-dark", 1280, 900, 1, true}, {"zoomed", 640, 450, 2, false}, {"narrow", 320, 568, 2, false}, {"narrow-dark", 320, 568, 2, true},
	}
	br.size(1280, 900, 1)
	br.signIn("nigar")
	lowest, texts := 21.0, 0
	for _, v := range views {
		br.size(v.width, v.height, v.scale)
		br.dark(v.dark)
		for i, path := range append(everyPage(id), "/login") {
			br.open(path)
			at := v.name + " " + strings.ReplaceAll(path, id, "ID")
			found := ask[struct {
				Cut, Missing []string
				Contrast     struct {
					Low    []string
					Lowest float64
					Seen   int
				}
			}](br, "({Cut: "+overflow+", Missing: "+structure+", Contrast: "+contrast+"})")
			lowest, texts = min(lowest, found.Contrast.Lowest), texts+found.Contrast.Seen
			for _, problem := range slices.Concat(found.Cut, found.Missing, found.Contrast.Low) {
				t.Errorf("%s: %s", at, problem)
			}
			br.shot(fmt.Sprintf("%s-%d-%s", v.name, i, strings.Trim(strings.SplitN(strings.TrimPrefix(path, "/"), "?", 2)[0], "/")[:min(5, len(strings.SplitN(strings.TrimPrefix(path, "/"), "?", 2)[0]))]))
		}
	}
	if texts < 500 {
		t.Errorf("only %d texts were seen", texts)
	}
	t.Logf("%d texts on %d pages, lowest contrast %.2f:1", texts, len(views)*9, lowest)
}
