package triggers

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxTriggers bounds the triggers of one webhook.
const MaxTriggers = 100

const rootText = "/"

// ParseTrigger reads one trigger: `/`, /items, /items/share, /items/<id>, /items/<id>/share, the service and webhook forms, or a cloud
// type, with globs where they may stand (docs/TRIGGERS.md). The error is a *FieldError without field; its Suggestion is the nearest
// trigger that can fire.
func (c *Catalog) ParseTrigger(text string) (Trigger, error) {
	t, r := c.parse(text)
	if r != nil {
		return Trigger{}, c.explain(text, r)
	}
	return t, nil
}

// ParseTriggers reads the triggers of one webhook, at most MaxTriggers. One whose Text has come before is dropped. An error names the
// place within field, as in eventTypes[2].
func (c *Catalog) ParseTriggers(field string, texts []string) ([]Trigger, error) {
	if len(texts) > MaxTriggers {
		return nil, Invalid(CodeTooMany, field, "a webhook has at most %d triggers, not %d", MaxTriggers, len(texts))
	}
	parsed := make([]Trigger, 0, len(texts))
	seen := make(map[string]bool, len(texts))
	for i, text := range texts {
		t, r := c.parse(text)
		if r != nil {
			e := c.explain(text, r)
			e.Field = fmt.Sprintf("%s[%d]", field, i)
			return nil, e
		}
		if !seen[t.Text] {
			seen[t.Text] = true
			parsed = append(parsed, t)
		}
	}
	return parsed, nil
}

// explain makes the error of a refusal: the first repair that is a trigger, else the nearest of the catalogue, is the suggestion.
func (c *Catalog) explain(text string, r *refusal) *FieldError {
	e := &FieldError{Code: r.code, Index: -1, Detail: r.detail}
	for _, repair := range r.repairs {
		if t, bad := c.parse(repair); bad == nil {
			e.Suggestion = t.Text
			break
		}
	}
	if e.Suggestion == "" && r.nearest {
		e.Suggestion = c.nearest(text)
	}
	if e.Suggestion != "" {
		e.Detail += "; the nearest trigger that can fire is " + e.Suggestion
	}
	return e
}

// parse reads one trigger without looking for suggestions, which are parsed themselves.
func (c *Catalog) parse(text string) (Trigger, *refusal) {
	switch n := utf8.RuneCountInString(text); {
	case text == "":
		return Trigger{}, refuse(CodeRequired, "the trigger is empty")
	case !utf8.ValidString(text):
		return Trigger{}, refuse(CodeBadPattern, "the trigger is not UTF-8")
	case n > MaxPatternCharacters:
		return Trigger{}, refuse(CodeTooLong, "a trigger has at most %d characters, not %d", MaxPatternCharacters, n)
	case text == rootText:
		return Trigger{Text: rootText, Root: true, TenantOnly: true}, nil
	}
	p := parser{catalog: c, text: text}
	var t Trigger
	var r *refusal
	if text[0] == '/' {
		t, r = p.path()
	} else {
		t, r = p.cloud()
	}
	if r != nil {
		return Trigger{}, r
	}
	if p.wild > MaxPatternWildcards {
		return Trigger{}, refuse(CodeTooMany, "a trigger has at most %d wildcards (each of * ? [] {} and ** is one), not %d",
			MaxPatternWildcards, p.wild)
	}
	return t, nil
}

// parser reads one trigger.
type parser struct {
	catalog *Catalog
	text    string
	wild    int // wildcards met
}

// tokens reads one segment and counts its wildcards.
func (p *parser) tokens(s piece) (Segment, *refusal) {
	segment, wild, r := tokenise(s)
	p.wild += wild
	return segment, r
}

// path reads a trigger with a leading slash.
func (p *parser) path() (Trigger, *refusal) {
	pieces, r := cut(p.text, '/')
	if r != nil {
		return Trigger{}, r
	}
	for i, s := range pieces {
		if s.isPlaceholder() {
			return Trigger{}, p.placeholder(pieces, i)
		}
	}
	resource, ok := resourceNamed(pieces[0].raw)
	switch {
	case !ok:
		return Trigger{}, p.unknownResource(pieces)
	case resource == FeatureServices:
		return p.service(pieces[1:])
	}
	return p.portal(resource, pieces[1:])
}

// placeholder refuses a segment that the documentation prints to be filled in.
func (p *parser) placeholder(pieces []piece, i int) *refusal {
	repaired := make([]string, len(pieces))
	for i, s := range pieces {
		if repaired[i] = s.raw; s.isPlaceholder() {
			repaired[i] = "*"
		}
	}
	what := "an id"
	if i == 0 {
		what = "a resource"
	} else if i == 2 && !equalFoldASCII(pieces[0].raw, servicesWord) {
		what = "an operation"
	}
	r := refuse(CodePlaceholder, "%s is a placeholder of the documentation: put %s or * there", clip(pieces[i].raw), what)
	return r.mend("/" + strings.Join(repaired, "/"))
}

func (p *parser) unknownResource(pieces []piece) *refusal {
	word := pieces[0].raw
	rest := p.text[1+len(word):]
	near := nearestOf(word, pathWords)
	r := refuse(CodeUnknownTrigger, "there is no resource %q", clip(word))
	switch s, _, bad := tokenise(pieces[0]); {
	case word == "**" || word == "*" && rest == "":
		r = refuse(CodeUnknownTrigger, "%s stands for no resource: every operation on every item, group, user and role is /", word).mend(rootText)
	case bad == nil && len(s) > 0 && !isLiteral(s):
		r = refuse(CodeUnknownTrigger, "the resource %q must be written out", clip(word))
	}
	return r.mend("/"+near+rest, strings.TrimPrefix(p.text, "/"))
}

// pathWords are the first segments that triggers may have.
var pathWords = []string{itemsWord, groupsWord, usersWord, rolesWord, servicesWord, webhooksWord}

func isLiteral(s Segment) bool {
	_, ok := s.Literal()
	return ok
}

// portal reads what follows /items and the like: nothing, an operation or an id, an id and an operation.
func (p *parser) portal(resource Resource, rest []piece) (Trigger, *refusal) {
	t := Trigger{Resource: resource, TenantOnly: resource != Items && resource != Groups}
	head := "/" + resource.String()
	switch len(rest) {
	case 0:
		t.Text, t.Any, t.Operations = head, true, AllOperations(resource)
		return t, nil
	case 1:
		return p.portalShort(t, head, rest[0])
	case 2:
		return p.portalLong(t, head, rest[0], rest[1])
	}
	last := rest[len(rest)-1].raw
	r := refuse(CodeUnknownTrigger, "there are more segments than id and operation; a slash within an id is written %%2F")
	return t, r.mend(head+"/*/"+last, head)
}

// portalShort reads the second of two segments: `**`, an operation, or an id.
func (p *parser) portalShort(t Trigger, head string, s piece) (Trigger, *refusal) {
	if s.isRest() {
		p.wild++
		t.Text, t.Any, t.Operations = head+"/**", true, AllOperations(t.Resource)
		return t, nil
	}
	segment, r := p.tokens(s)
	if r != nil {
		return t, r
	}
	if word, ok := segment.Literal(); ok {
		if op, ok := operationNamed(t.Resource, word); ok {
			t.Text, t.Any, t.Operations = head+"/"+PayloadOperation(t.Resource, op), true, Ops(op)
			return t, nil
		}
	}
	t.Operations = withID(t.Resource)
	t.Text = head + "/" + s.raw
	return p.portalID(t, segment, func() *refusal {
		return refuse(CodeCannotFire, "%q is no operation of roles, and single roles cannot be subscribed to", clip(s.raw)).
			mend(head+"/"+nearWithin(s.raw, operationNames[Roles], min(2, len(s.raw)/2)), head)
	})
}

// portalLong reads an id and an operation.
func (p *parser) portalLong(t Trigger, head string, id, operation piece) (Trigger, *refusal) {
	segment, r := p.tokens(id)
	if r != nil {
		return t, r
	}
	able := AllOperations(t.Resource)
	if !segment.isAnyRun() {
		able = withID(t.Resource)
	}
	name, written, r := p.operations(&t, able, operation, head+"/"+id.raw+"/")
	if r != nil {
		return t, r
	}
	t.Text = head + "/" + id.raw + "/" + name
	if segment.isAnyRun() {
		t.Any = true
		return t, nil
	}
	if written && isAdd(t.Resource, t.Operations) {
		return t, refuse(CodeCannotFire, "an add cannot be awaited by id, as the thing is new").mend(head + "/" + name)
	}
	return p.portalID(t, segment, func() *refusal {
		return refuse(CodeCannotFire, "single roles cannot be subscribed to").mend(head+"/"+name, head)
	})
}

// portalID puts the id into the trigger. Every event of an operation that has an id is heard by `*`, so that is Any. Roles take no
// narrower id: refused by refuseRole.
func (p *parser) portalID(t Trigger, segment Segment, refuseRole func() *refusal) (Trigger, *refusal) {
	switch {
	case segment.isAnyRun():
		t.Any = true
		return t, nil
	case t.Resource == Roles:
		return t, refuseRole()
	}
	if id, ok := segment.Literal(); ok {
		segment[0].Text = idKey(t.Resource, id)
	} else {
		foldSegment(segment)
	}
	t.Path = []Segment{segment}
	return t, nil
}

// operations reads the operation segment of a trigger, which may hear the operations in able and no others. It sets t.Operations and
// returns the segment's text as it is listed, and whether that is one operation written out. Suggestions begin with head.
func (p *parser) operations(t *Trigger, able OpSet, s piece, head string) (name string, written bool, r *refusal) {
	if s.isRest() {
		p.wild++
		t.Operations = able
		return s.raw, false, nil
	}
	segment, r := p.tokens(s)
	if r != nil {
		return "", false, r
	}
	if word, ok := segment.Literal(); ok {
		op, ok := operationNamed(t.Resource, word)
		switch {
		case !ok:
			near := nearestOf(word, operationNames[t.Resource])
			return "", false, refuse(CodeUnknownTrigger, "%s have no operation %q", plural(t.Resource), clip(word)).
				mend(head+near, "/"+t.Resource.String()+"/"+near)
		case !able.Has(op):
			name := OperationName(t.Resource, op)
			return "", false, refuse(CodeCannotFire, "%s is done to many at once, so its event has no id", name).
				mend("/" + t.Resource.String() + "/" + name)
		}
		t.Operations = widen(t.Resource, Ops(op))
		return OperationName(t.Resource, op), true, nil
	}
	for i, name := range operationNames[t.Resource] {
		if op := Operation(i); able.Has(op) && segment.matches(name, true) {
			t.Operations |= Ops(op)
		}
	}
	if t.Operations == 0 {
		return "", false, refuse(CodeCannotFire, "no operation that %s can have here fits %s", plural(t.Resource), clip(s.raw)).mend(head + "*")
	}
	t.Operations = widen(t.Resource, t.Operations)
	return s.raw, false, nil
}

// cloud reads a trigger without leading slash.
func (p *parser) cloud() (Trigger, *refusal) {
	t := Trigger{Text: p.text, Resource: CloudTypes, Operations: AllOperations(CloudTypes)}
	pieces, r := cut(p.text, '.')
	if r != nil {
		return t, r
	}
	for _, s := range pieces {
		switch {
		case s.isPlaceholder():
			return t, refuse(CodePlaceholder, "%s is a placeholder: put a word of an event type or * there", clip(s.raw)).mend()
		case s.isRest():
			p.wild++
			t.Rest = true
			continue
		}
		segment, r := p.tokens(s)
		if r != nil {
			return t, r
		}
		t.Path = append(t.Path, segment)
	}
	fits, userLevel := p.catalog.cloudTypesFitting(&t)
	t.TenantOnly = userLevel < fits
	if fits == 0 {
		r := refuse(CodeUnknownTrigger, "%q is no event type of the catalogue", clip(p.text))
		if p.wild > 0 {
			r = refuse(CodeUnknownTrigger, "no event type of the catalogue fits %q", clip(p.text))
		}
		r.mend("/" + p.text)
		if near := nearWithin(p.text, pathWords, 2); near != "" {
			r.mend("/" + near)
		}
		return t, r
	}
	if len(t.Path) == 0 {
		t.Any, t.Rest = true, false
	}
	return t, nil
}
