package session

import (
	"slices"

	"kosk/device/catalogue"
	"kosk/device/receipt"
	"kosk/device/request"
	"kosk/device/text"
)

// slip is what the paper says of the moment: a final, an accepted or a
// provisional one, or the answer to a question.
func (v *Visit) slip() receipt.Slip {
	s := receipt.Slip{
		ID: string(v.ID), Lang: v.Lang, Office: v.Office.In(v.Lang), Number: v.Number, Code: v.Token, Test: v.Test,
		Service: v.Service.Name.In(v.Lang), Agency: v.Catalogue.Agency(v.Service.Agency).Name.In(v.Lang), When: v.SentAt,
	}
	if v.Holder != nil {
		s.Holder = text.Say(text.Az, text.Name, v.Holder.MaskedName())
	}
	if !v.Service.Submit {
		s.Kind, s.When = receipt.Answer, v.FoundAt
		s.Rows = append(v.askedRows(), v.foundRows(v.Found)...)
		return s
	}
	s.Next = v.in(v.output(nextWords[v.Stage]))
	switch v.Stage {
	case Done:
		s.Kind, s.Number = receipt.Final, v.Outcome.Number
		var data []Found
		for _, d := range v.Outcome.Data {
			data = append(data, Found{ID: d.ID, Value: d.Value, Lang: d.Lang, Register: d.Register})
		}
		s.Rows = append(v.askedRows(data...), v.foundRows(data)...)
		if o := v.Outcome; !o.IssuedAt.IsZero() { // all that was signed stands on it
			s.When = o.IssuedAt
		}
		switch o := v.Outcome; {
		case o.Kind == request.KindApplication:
			s.Kind = receipt.Registered
			by := receipt.Row{Label: v.in("slip.answer_by"), Value: text.Day(v.Lang, o.ValidUntil)}
			s.Rows = slices.Insert(s.Rows, 0, by)
		case !o.ValidUntil.IsZero():
			s.Rows = append(s.Rows, receipt.Row{Label: v.in("slip.valid_until"), Value: text.Day(v.Lang, o.ValidUntil)})
		}
		if v.Paged { // the certificate itself is a page
			s.Kind, s.Rows, s.Next = receipt.Paged, nil, v.in("slip_next.paged")
		}
	case Accepted:
		s.Kind, s.Rows = receipt.Accepted, v.askedRows()
	default:
		s.Kind, s.Rows = receipt.Provisional, v.askedRows()
	}
	if m := v.signedWith(); m != nil {
		s.Rows = append(s.Rows, receipt.Row{Label: v.in("slip.signed"), Value: m.Name.In(v.Lang)})
	}
	return s
}

// nextWords say what happens after each stage.
var nextWords = map[Stage]text.Key{Unsent: "slip_next.stored", Stored: "slip_next.stored", Accepted: "slip_next.accepted", Done: "slip_next.done"}

// output is a phrase as it is for what the service's request leads to, or has led to.
func (v *Visit) output(key text.Key) text.Key {
	application := v.Service.Output == catalogue.Application
	if v.Outcome != nil {
		application = v.Outcome.Kind == request.KindApplication
	}
	if application {
		return "application." + key
	}
	return key
}

// signedWith is the means that the request was signed with, nil when it wasn't.
func (v *Visit) signedWith() *catalogue.Means {
	if !v.Service.Sign {
		return nil
	}
	return v.Catalogue.MeansOf(catalogue.MeansID(v.Signed.Means))
}

// askedRows are the person's own answers, without those that the data repeat.
func (v *Visit) askedRows(data ...Found) []receipt.Row {
	var rows []receipt.Row
	for i := range v.Service.Fields {
		f := &v.Service.Fields[i]
		if slices.ContainsFunc(data, func(d Found) bool { return d.ID == f.ID }) {
			continue
		}
		rows = append(rows, receipt.Row{Label: f.Label.In(v.Lang), Value: v.answer(f)})
	}
	return rows
}

// foundRows are a register's data. A row names its register once for a run of
// data from the same one.
func (v *Visit) foundRows(data []Found) []receipt.Row {
	var rows []receipt.Row
	for _, f := range v.ordered(data) {
		d := v.Service.Datum(f.ID)
		rows = append(rows, receipt.Row{Label: d.Label.In(v.Lang), Value: v.value(d, f)})
	}
	if len(rows) > 0 {
		rows[len(rows)-1].Source = v.Service.Register.In(v.Lang)
	}
	return rows
}
