package session

import (
	"kosk/device/receipt"
	"kosk/device/request"
	"kosk/device/scene"
	"kosk/device/text"
)

// What comes out of the printers, and whether it is taken. The rules are:
//
//   - A certificate is printed as a page first where there is a printer for
//     pages. Only when that is known to be out is the slip a short one: else it
//     is the certificate.
//   - The visit doesn't end while something is still coming out. Then the person
//     may leave; a slip that hangs at the slot is asked for on the last screens,
//     too, until it is taken, or taken back.
//   - Whose slip it was is forgotten with the person; that one hangs is the
//     machine's affair. Before the next person begins it is taken back.

// slipPatience is how often the parting words stay for a slip at the slot: longer
// than a presenter leaves it there.
const slipPatience = 10

func outcome(v *Visit, e Event) (State, []Effect) {
	o := e.(OutcomeCame)
	v.Stage, v.Outcome, v.Token = Done, &o.Outcome, o.Token
	if !v.Pages || o.Outcome.Kind == request.KindApplication {
		return printNow(v, e)
	}
	v.Printing, v.Paging = true, true
	return Ending, []Effect{PrintPage{o.Outcome, v.Lang}}
}

// paged goes on to the slip: a short one when the page is out.
func paged(v *Visit, e Event) (State, []Effect) {
	p := e.(PagePrinted)
	v.Paging, v.PageWord = false, pageWord(p.Outcome)
	v.Paged = v.PageWord == ""
	return printNow(v, e)
}

// printAsked prints an answer, once at a time.
func printAsked(v *Visit, e Event) (State, []Effect) {
	if v.Printing {
		return Answering, nil
	}
	return printNow(v, e)
}

// answerBack leads to another question. While the slip is still coming out it
// does nothing: the answer on the screen is the slip's.
func answerBack(v *Visit, _ Event) (State, []Effect) {
	if v.Printing {
		return Answering, nil
	}
	v.Found, v.Printed, v.PrintWord = nil, false, ""
	return Filling, nil
}

// printNow prints the slip that tells the truth of the moment.
func printNow(v *Visit, _ Event) (State, []Effect) {
	v.Printing, v.Printed, v.PrintWord = true, false, ""
	v.Presented, v.Retracted = false, false
	next := Ending
	if v.State == Answering {
		next = Answering
	}
	return next, []Effect{Print{v.slip()}}
}

func printed(v *Visit, e Event) (State, []Effect) {
	p := e.(SlipPrinted)
	v.Printing, v.PrintWord = false, paperWord(p.Outcome, p.Err)
	if v.PrintWord != "" && v.Token == "" { // there is no code to stand for the slip
		v.PrintWord = "paper.screen"
	}
	v.Printed = v.PrintWord == ""
	return v.State, nil
}

// finish ends a visit that went its way. While the slip is still coming out it
// does nothing: who leaves early finds no slip, and the next person would.
func finish(v *Visit, _ Event) (State, []Effect) {
	if v.Printing {
		return v.State, nil
	}
	return v.end("parting.thanks")
}

// slot keeps account of the slip at the slot.
func (v *Visit) slot(e Event) {
	switch e.(type) {
	case SlipPresented:
		v.Slip, v.Asked = true, 0
		v.Presented, v.Retracted = v.State != Attracting, false
	case SlipNotTaken:
		v.Slip = true
		v.Asked++
	case SlipTaken:
		v.Slip = false
	case SlipRetracted:
		v.Slip, v.Retracted = false, v.Presented
	}
}

// leftBehind takes back the slip of the person before, as somebody begins.
func (v *Visit) leftBehind(before State) []Effect {
	if v.Slip && (before == Attracting || before == Parting && v.State != Attracting) {
		return []Effect{Retract{}}
	}
	return nil
}

// partingOver ends the parting words, unless a slip is still to be taken.
func partingOver(v *Visit, _ Event) (State, []Effect) {
	if v.hangs() && v.Reminds < slipPatience {
		v.Reminds++
		return Parting, []Effect{Wait{partingTime, TimeUp{}}}
	}
	return Attracting, nil
}

// printedRows are the facts on paper, be it slip or page.
func (v *Visit) printedRows() []receipt.Row {
	slip := *v
	slip.Paged = false
	return slip.slip().Rows
}

// hangs reports whether the person's own slip is held out.
func (v *Visit) hangs() bool { return v.Slip && v.Presented }

// slipNodes ask for the slip at the slot. Each reminder has other words than the
// one before, so that it is said.
func (v *Visit) slipNodes() []scene.Node {
	if !v.hangs() {
		return nil
	}
	n := scene.Node{ID: "slip", Role: scene.Note, Icon: "printer", Tone: scene.Good, Name: v.in("paper.take")}
	if v.Asked > 0 {
		n.Tone, n.Icon, n.Name = scene.Bad, "", v.in([]text.Key{"paper.take_soon", "paper.take_again"}[v.Asked%2])
	}
	return []scene.Node{n}
}

// paperNodes say how page and slip fare; without paper the receipt is a code on
// the screen.
func (v *Visit) paperNodes() []scene.Node {
	nodes := v.pageNodes()
	switch {
	case v.Paging:
		return nodes
	case v.Printing && !v.hangs():
		nodes = append(nodes, scene.Node{ID: "paper", Role: scene.Note, Icon: "printer", Name: v.in("paper.printing")})
	case v.PrintWord != "":
		nodes = append(nodes, scene.Node{ID: "paper", Role: scene.Note, Tone: scene.Bad, Name: v.in(v.PrintWord)})
	case v.Printed && v.Retracted:
		nodes = append(nodes, scene.Node{ID: "paper", Role: scene.Note, Tone: scene.Bad, Name: v.in("paper.retracted")})
	case v.Printed && v.Presented && !v.Slip:
		nodes = append(nodes, scene.Node{ID: "paper", Role: scene.Note, Tone: scene.Good, Icon: "check", Name: v.in("paper.taken")})
	case v.Printed && !v.hangs():
		nodes = append(nodes, scene.Node{ID: "paper", Role: scene.Note, Tone: scene.Good, Icon: "check", Name: v.in("paper.take")})
	}
	nodes = append(nodes, v.slipNodes()...)
	if !v.Printing && v.Token != "" && (v.PrintWord != "" || v.PageWord != "" || v.Printed && v.Retracted) {
		nodes = append(nodes, scene.Node{ID: "code", Role: scene.Code, Data: []byte(v.Token), Name: v.in("paper.code")})
	}
	return nodes
}

// pageNodes say how the certificate's page fares.
func (v *Visit) pageNodes() []scene.Node {
	n := scene.Node{ID: "page", Role: scene.Note, Icon: "printer"}
	switch {
	case v.Paging:
		n.Name = v.in("page.printing")
	case v.Paged:
		n.Tone, n.Icon, n.Name = scene.Good, "check", v.in("page.take")
	case v.PageWord != "" && (v.PrintWord == "" || v.PageWord == "page.unknown"):
		n.Tone, n.Icon, n.Name = scene.Bad, "", v.in(v.PageWord)
	default:
		return nil
	}
	return []scene.Node{n}
}
