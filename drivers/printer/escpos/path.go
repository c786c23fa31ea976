package escpos

import "slices"

// The paper path is one table. A state has one word of each part: what is known
// of the slip in hand, the line, the roll, the slot, cover, blade and head. A
// rule holds in all states that have one of its words for each part that it
// names. The rules are: the first rule that holds counts; every state and event
// has a rule or is listed in ignored; a rule only says what to do, and print.go
// and watch.go do it.

// A state is one word of each part of the path, as bits; a set of them is more.
type state uint32

// The words. Paper and media are XFS4IoT's.
const (
	idle    state = 1 << iota // nothing of a slip is in the printer
	sending                   // the line takes a slip
	sent                      // it has taken all; the printer's word is missing
	unsure                    // the printer's buffers may hold something
	held                      // so may they, and a piece may hang uncut
	tail                      // the buffers are empty, a piece may hang uncut

	lineUp
	lineMute
	lineGone

	paperUnknown
	paperFull
	paperLow
	paperOut
	paperJammed

	mediaNotPresent
	mediaPresent
	mediaJammed
	mediaRetracted

	coverClosed
	coverOpen

	cutterFine
	cutterFault

	headFine
	headFault
)

// parts are the words that exclude each other.
var parts = []state{
	idle | sending | sent | unsure | held | tail,
	lineUp | lineMute | lineGone,
	paperUnknown | paperFull | paperLow | paperOut | paperJammed,
	mediaNotPresent | mediaPresent | mediaJammed | mediaRetracted,
	coverClosed | coverOpen,
	cutterFine | cutterFault,
	headFine | headFault,
}

// begin is what is known before a printer was heard of.
const begin = unsure | lineGone | paperUnknown | mediaNotPresent | coverClosed | cutterFine | headFine

// printing is a slip between its first byte and the printer's word.
const printing = sending | sent

// in reports whether s has one of the words of each part that set names.
func (s state) in(set state) bool {
	for _, p := range parts {
		if set&p != 0 && set&p&s == 0 {
			return false
		}
	}
	return true
}

// with is s with the words of other in their parts.
func (s state) with(other state) state {
	for _, p := range parts {
		if other&p != 0 {
			s = s&^p | other&p
		}
	}
	return s
}

// A happening is what the path hears of.
type happening string

// The happenings. The first ones are differences between what the printer said
// and what was known.
const (
	sawPaperFull    happening = "paper full"
	sawPaperLow     happening = "paper low"
	sawPaperOut     happening = "paper out"
	sawPaperJammed  happening = "paper jammed"
	sawMediaPresent happening = "media presented"
	sawMediaTaken   happening = "media taken"
	sawMediaJammed  happening = "media jammed"
	sawCoverOpen    happening = "cover opened"
	sawCoverClosed  happening = "cover closed"
	sawCutterFault  happening = "cutter failed"
	sawCutterFine   happening = "cutter freed"
	sawHeadFault    happening = "head failed"
	sawHeadFine     happening = "head recovered"

	lineAnswered happening = "answered"  // to any question
	lineSilent   happening = "silent"    // a question stayed without an answer
	lineLost     happening = "line lost" // unplugged, or the port is taken

	slipOffered happening = "slip offered"
	slipRefused happening = "no byte taken" // the line took nothing of the slip
	slipSent    happening = "bytes sent"
	slipOut     happening = "slip confirmed"
	slipLate    happening = "slip late" // the printer answers, but not that the slip is out
	slipLeft    happening = "cancelled" // nobody waits for the slip any more
	cleared     happening = "cleared"
	tailCut     happening = "tail cut"
	takenBack   happening = "retracted"
	notBack     happening = "retract failed"
	remindTime  happening = "time to remind"
	retractTime happening = "time to retract"
	visitEnds   happening = "visit ends"
)

// An action is what the driver does when a rule says so.
type action string

// The actions: on the slip, on the printer, on the account of paper, and to
// tell the caller.
const (
	doStart   action = "start"   // the slip may go to the line
	doRefuse  action = "refuse"  // it failed before its first byte, and why
	doConfirm action = "confirm" // it is out
	doUnknown action = "unknown" // it may be out

	doClear   action = "clear"   // empty the buffers
	doCut     action = "cut"     // cut off the piece that hangs
	doRetract action = "retract" // take the slip at the slot back

	doRenew action = "renew roll" // a new roll: forget what was counted
	doCount action = "count down" // near end: count from here what is left
	doEmpty action = "roll ended" // nothing is left
	doBin   action = "count bin"  // one slip more in the bin

	tellStatus    action = "tell StatusChanged"
	tellPaper     action = "tell PaperThreshold"
	tellPresented action = "tell MediaPresented"
	tellNotTaken  action = "tell MediaNotTaken"
	tellTaken     action = "tell MediaTaken"
	tellRetracted action = "tell MediaAutoRetracted"
)

// A pathRule is a row of the table.
type pathRule struct {
	on   happening
	when state // a set
	do   []action
	next state // the words that change
}

func do(a ...action) []action { return a }

var rules = []pathRule{
	// The line.
	{lineAnswered, lineMute | lineGone, do(tellStatus), lineUp},
	{lineSilent, lineUp | printing, do(doUnknown, tellStatus), held | lineMute},
	{lineSilent, lineUp | held | tail, do(tellStatus), held | lineMute},
	{lineSilent, lineUp | idle | unsure, do(tellStatus), unsure | lineMute}, // it may have been switched off and on
	{lineLost, printing, do(doUnknown, tellStatus), held | lineGone},
	{lineLost, lineUp | lineMute | held | tail, do(tellStatus), held | lineGone},
	{lineLost, lineUp | lineMute | idle | unsure, do(tellStatus), unsure | lineGone},

	// The roll.
	{sawPaperFull, paperUnknown, do(doRenew), paperFull}, // after a start: it may be another one
	{sawPaperFull, paperLow | paperOut | paperJammed, do(doRenew, tellPaper), paperFull},
	{sawPaperLow, paperUnknown | paperFull | paperOut | paperJammed, do(doCount, tellPaper), paperLow},
	{sawPaperOut, printing, do(doUnknown, doEmpty, tellPaper), held | paperOut},
	{sawPaperOut, paperUnknown | paperFull | paperLow | paperJammed, do(doEmpty, tellPaper), paperOut},
	{sawPaperJammed, printing, do(doUnknown, tellPaper), held | paperJammed},
	{sawPaperJammed, paperUnknown | paperFull | paperLow | paperOut, do(tellPaper), paperJammed},

	// The slot.
	{sawMediaPresent, tail | mediaNotPresent | mediaJammed | mediaRetracted, nil, mediaPresent}, // nobody's to take
	{sawMediaPresent, mediaNotPresent | mediaJammed | mediaRetracted, do(tellPresented), mediaPresent},
	{sawMediaTaken, mediaPresent, do(tellTaken), mediaNotPresent},
	{sawMediaTaken, mediaJammed, do(tellStatus), mediaNotPresent}, // somebody freed it
	{sawMediaJammed, printing, do(doUnknown, tellStatus), held | mediaJammed},
	{sawMediaJammed, mediaNotPresent | mediaPresent | mediaRetracted, do(tellStatus), mediaJammed},
	{remindTime, mediaPresent, do(tellNotTaken), 0},
	{retractTime, mediaPresent | lineUp | idle | unsure | held | tail | paperFull | paperLow | coverClosed | cutterFine | headFine, do(doRetract), 0},
	{takenBack, mediaPresent, do(doBin, tellRetracted), mediaRetracted},
	{notBack, mediaPresent, do(tellStatus), mediaJammed},

	// Cover, blade and head.
	{sawCoverOpen, printing, do(doUnknown, tellStatus), held | coverOpen},
	{sawCoverOpen, coverClosed, do(tellStatus), coverOpen},
	{sawCoverClosed, coverOpen, do(tellStatus), coverClosed},
	{sawCutterFault, printing, do(doUnknown, tellStatus), held | cutterFault},
	{sawCutterFault, cutterFine, do(tellStatus), cutterFault},
	{sawCutterFine, cutterFault, do(tellStatus), cutterFine},
	{sawHeadFault, printing, do(doUnknown, tellStatus), held | headFault},
	{sawHeadFault, headFine, do(tellStatus), headFault},
	{sawHeadFine, headFault, do(tellStatus), headFine},

	// A slip is offered: what stands in its way is cleared away, step by step.
	{slipOffered, lineMute | lineGone, do(doRefuse), 0},
	{slipOffered, unsure | held, do(doClear), 0},
	{slipOffered, coverOpen, do(doRefuse), 0},
	{slipOffered, paperUnknown | paperOut, do(doRefuse), 0},
	// A fault may wait for its recovery command, which is part of a clear.
	{slipOffered, idle | paperJammed, do(doRefuse), unsure},
	{slipOffered, tail | paperJammed, do(doRefuse), held},
	{slipOffered, idle | cutterFault, do(doRefuse), unsure},
	{slipOffered, tail | cutterFault, do(doRefuse), held},
	{slipOffered, headFault | idle | tail, do(doRefuse), 0},
	{slipOffered, mediaJammed | idle | tail, do(doRefuse), 0},
	{slipOffered, mediaPresent | idle | tail, do(doRetract), 0}, // of somebody who has left
	{slipOffered, tail, do(doCut), 0},
	{slipOffered, idle, do(doStart), sending | mediaNotPresent},

	// A slip is on its way.
	{slipRefused, sending, do(doRefuse), unsure},
	{slipSent, sending, nil, sent},
	{slipOut, sent, do(doConfirm), idle},
	{slipLate, printing, do(doUnknown), held},
	{slipLeft, printing, do(doUnknown), held},

	// What is left of it.
	{cleared, unsure, nil, idle},
	{cleared, held, nil, tail},
	{tailCut, tail | mediaPresent, do(doRetract), idle},
	{tailCut, tail, nil, idle},
	{visitEnds, lineMute | lineGone, do(doRefuse), 0},
	{visitEnds, idle | unsure | held, do(doClear), 0},
	{visitEnds, tail | coverOpen, do(doRefuse), 0},
	{visitEnds, tail | paperUnknown | paperOut | paperJammed, do(doRefuse), 0},
	{visitEnds, tail | cutterFault, do(doRefuse), 0},
	{visitEnds, tail | headFault, do(doRefuse), 0},
	{visitEnds, tail | mediaJammed, do(doRefuse), 0},
	{visitEnds, tail | mediaPresent, do(doRetract), 0}, // it came out after its person had given up
	{visitEnds, tail, do(doCut), 0},
}

// An ignorance is what changes nothing, and why that is right.
type ignorance struct {
	on   happening
	when state // a set
	why  string
}

var ignored = []ignorance{
	{lineAnswered, lineUp, "nothing new"},
	{lineSilent, lineMute | lineGone, "known already"},
	{lineLost, lineGone, "known already"},
	{sawPaperFull, paperFull, "nothing new"},
	{sawPaperLow, paperLow, "nothing new"},
	{sawPaperOut, paperOut, "nothing new"},
	{sawPaperJammed, paperJammed, "nothing new"},
	{sawMediaPresent, mediaPresent, "nothing new"},
	{sawMediaTaken, mediaNotPresent | mediaRetracted, "nothing was there"},
	{sawMediaJammed, mediaJammed, "nothing new"},
	{sawCoverOpen, coverOpen, "nothing new"},
	{sawCoverClosed, coverClosed, "nothing new"},
	{sawCutterFault, cutterFault, "nothing new"},
	{sawCutterFine, cutterFine, "nothing new"},
	{sawHeadFault, headFault, "nothing new"},
	{sawHeadFine, headFine, "nothing new"},
	{remindTime, mediaNotPresent | mediaJammed | mediaRetracted, "nothing can be taken"},
	{retractTime, mediaNotPresent | mediaJammed | mediaRetracted, "nothing can be taken back"},
	{retractTime, lineMute | lineGone, "it can't be told; the watch tries again"},
	{retractTime, coverOpen, "a printer that stands still takes no such command; the watch tries again"},
	{retractTime, paperUnknown | paperOut | paperJammed, "the same"},
	{retractTime, cutterFault, "the same"},
	{retractTime, headFault, "the same"},
	{retractTime, printing, "the slip that is printed pushes the other one out of the way"},
	{takenBack, mediaNotPresent | mediaJammed | mediaRetracted, "it was taken meanwhile"},
	{notBack, mediaNotPresent | mediaJammed | mediaRetracted, "it was taken meanwhile"},
	{slipOffered, printing, "one slip at a time: the driver's turn sees to it"},
	{slipRefused, idle | sent | unsure | held | tail, "the slip has ended"},
	{slipSent, idle | sent | unsure | held | tail, "the slip has ended"},
	{slipOut, idle | sending | unsure | held | tail, "a late answer: unknown stays unknown"},
	{slipLate, idle | unsure | held | tail, "the slip has ended"},
	{slipLeft, idle | unsure | held | tail, "the slip has ended"},
	{cleared, idle | printing | tail, "nothing to clear"},
	{tailCut, idle | printing | unsure | held, "nothing hung there"},
	{visitEnds, printing, "one thing at a time: the driver's turn sees to it"},
}

// step is what to do when something happens in a state, and the state after it.
// It reports whether the table has a rule for it.
func step(s state, h happening) (do []action, next state, ruled bool) {
	i := ruleOf(s, h)
	if i < 0 {
		return nil, s, false
	}
	return rules[i].do, s.with(rules[i].next), true
}

// ruleOf is the rule that holds, or -1.
func ruleOf(s state, h happening) int {
	return slices.IndexFunc(rules, func(r pathRule) bool { return r.on == h && s.in(r.when) })
}
