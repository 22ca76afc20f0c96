package triggers

import "strings"

// service reads what follows /services.
func (p *parser) service(rest []piece) (Trigger, *refusal) {
	t := Trigger{Resource: FeatureServices, TenantOnly: true, Operations: AllOperations(FeatureServices)}
	head := "/" + servicesWord
	if len(rest) == 0 {
		return t, refuse(CodeUnknownTrigger, "%s alone names no service", head).mend(head + "/**")
	}
	kind := serviceKindAt(rest)
	var before []piece
	switch {
	case kind >= 0:
		before = rest[:kind]
	case rest[len(rest)-1].isRest():
		before = rest[:len(rest)-1]
		t.Rest, t.Also = true, Geoprocessing
		p.wild++
	default:
		return t, p.serviceWithoutKind(head, rest)
	}
	if len(before) > 2 {
		return t, refuse(CodeUnknownTrigger, "a service has a name and at most one folder; a slash within them is written %%2F").
			mend(head + "/" + before[0].raw + "/" + before[1].raw + "/**")
	}
	t.Text = head
	for _, s := range before {
		segment, r := p.tokens(s)
		if r != nil {
			return t, r
		}
		foldSegment(segment)
		t.Path = append(t.Path, segment)
		t.Text += "/" + s.raw
	}
	if kind >= 0 {
		return p.serviceOperation(t, rest[kind:])
	}
	t.Text += "/**"
	// Every service has a first segment, so `*` before `**` holds nothing back.
	if len(t.Path) == 0 || len(t.Path) == 1 && t.Path[0].isAnyRun() {
		t.Any, t.Rest, t.Path = true, false, nil
	}
	return t, nil
}

// serviceKindAt finds the segment that is FeatureServer or GPServer: the second or the third, as a service has a name and perhaps a
// folder before; -1 when there is none.
func serviceKindAt(rest []piece) int {
	for i := 1; i < len(rest) && i <= 2; i++ {
		if isServiceKind(rest[i].raw) {
			return i
		}
	}
	return -1
}

func (p *parser) serviceWithoutKind(head string, rest []piece) *refusal {
	text := func(pieces []piece) string {
		segments := []string{head}
		for _, p := range pieces {
			segments = append(segments, p.raw)
		}
		return strings.Join(segments, "/")
	}
	last := rest[len(rest)-1].raw
	r := refuse(CodeUnknownTrigger, "after the name of a service comes %s or %s", featureServer, gpServer)
	if near := nearWithin(last, []string{featureServer, gpServer}, 3); near != "" && len(rest) > 1 {
		r.mend(text(rest[:len(rest)-1]) + "/" + near)
	}
	if near := nearWithin(last, operationNames[FeatureServices], 3); near != "" && len(rest) > 1 {
		between := rest[:len(rest)-1]
		if len(between) > 1 && nearWithin(between[len(between)-1].raw, []string{featureServer}, 3) != "" {
			between = between[:len(between)-1]
		}
		r.mend(text(between) + "/" + featureServer + "/" + near)
	}
	return r.mend(text(rest)+"/"+featureServer, text(rest[:1])+"/"+featureServer)
}

// serviceOperation reads FeatureServer[/<changeType>] or GPServer.
func (p *parser) serviceOperation(t Trigger, rest []piece) (Trigger, *refusal) {
	if equalFoldASCII(rest[0].raw, gpServer) {
		t.Text += "/" + gpServer
		t.Resource, t.Operations = Geoprocessing, AllOperations(Geoprocessing)
		if len(rest) > 1 {
			return t, refuse(CodeCannotFire, "nothing follows %s: a job has one event, and its status tells how it ended", gpServer).mend(t.Text)
		}
		return t, nil
	}
	t.Text += "/" + featureServer
	switch len(rest) {
	case 1:
		return t, nil
	case 2:
		t.Operations = 0
		name, _, r := p.operations(&t, AllOperations(FeatureServices), rest[1], t.Text+"/")
		if r != nil {
			return t, r
		}
		t.Text += "/" + name
		return t, nil
	}
	return t, refuse(CodeUnknownTrigger, "one change type follows %s and nothing more", featureServer).mend(t.Text+"/"+rest[1].raw, t.Text)
}
