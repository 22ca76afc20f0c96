package triggers

import "strings"

// ParseURI reads the URI of an event: /items/<id>/share, /users/bulkEnable, /services/[folder/]<name>/FeatureServer/<changeType>,
// /services/[folder/]<name>/GPServer, /webhooks/<id>/disable, or a cloud type of the catalogue. Segments are percent-decoded and no
// character is a glob. The error is a *FieldError without field.
func (c *Catalog) ParseURI(text string) (URI, error) {
	switch {
	case text == "":
		return URI{}, Invalid(CodeRequired, "", "the uri is empty")
	case text[0] != '/':
		return c.parseCloudURI(text)
	}
	word, rest, more := strings.Cut(text[1:], "/")
	resource, ok := resourceNamed(word)
	switch {
	case !ok:
		return URI{}, Invalid(CodeBadURI, "", "there is no resource %q: events are about items, groups, users, roles, services or webhooks, "+
			"or bear a cloud type without leading slash", clip(word))
	case !more:
		return URI{}, Invalid(CodeBadURI, "", "id and operation are missing, as in %s", sampleURI(resource))
	case resource == FeatureServices:
		return parseServiceURI(rest)
	}
	return parsePortalURI(resource, rest)
}

func (c *Catalog) parseCloudURI(text string) (URI, error) {
	name, known := c.cloudName(text)
	if !known {
		e := Invalid(CodeBadURI, "", "%q is no event type of the catalogue", clip(text))
		if _, err := c.ParseURI("/" + text); err == nil {
			e.Suggestion = "/" + text
		} else {
			e.Suggestion = c.nearCloud(text)
		}
		if e.Suggestion != "" {
			e.Detail += "; the nearest is " + e.Suggestion
		}
		return URI{}, e
	}
	// The catalogue's copy of the name serves every event of the type.
	return URI{Resource: CloudTypes, Operation: CloudEmit, ID: name, key: name}, nil
}

// parsePortalURI reads what follows /items/ and the like.
func parsePortalURI(resource Resource, rest string) (URI, error) {
	id, name, more := strings.Cut(rest, "/")
	if !more {
		return parseShortURI(resource, id)
	}
	switch {
	case name == "":
		return URI{}, Invalid(CodeBadURI, "", "the operation is missing, as in %s", sampleURI(resource))
	case strings.Contains(name, "/"):
		return URI{}, Invalid(CodeBadURI, "", "there are more segments than id and operation; a slash within an id is written %%2F")
	}
	u := URI{Resource: resource}
	var err error
	if u.ID, err = unescapeID(id); err != nil {
		return URI{}, err
	}
	if u.ID == "" {
		return URI{}, Invalid(CodeMissingID, "", "the id is empty: a URI looks like %s", sampleURI(resource))
	}
	if u.Operation, err = eventOperation(resource, name); err != nil {
		return URI{}, err
	}
	return u, u.normalise()
}

// parseShortURI reads a URI of two segments, which only bulk events have.
func parseShortURI(resource Resource, word string) (URI, error) {
	op, ok := operationNamed(resource, word)
	switch {
	case ok && IsBulk(resource, op):
		return URI{Resource: resource, Operation: op}, nil
	case ok:
		return URI{}, Invalid(CodeMissingID, "", "the id is missing: write /%s/<id>/%s with the id of what it happened to",
			resource, OperationName(resource, op))
	}
	return URI{}, Invalid(CodeBadURI, "", "the operation is missing, as in %s", sampleURI(resource))
}

// parseServiceURI reads what follows /services/.
func parseServiceURI(rest string) (URI, error) {
	segments := strings.SplitN(rest, "/", 5)
	var kind int // the place of FeatureServer or GPServer: after the name, or after folder and name
	for kind = 1; kind < len(segments) && kind <= 2; kind++ {
		if isServiceKind(segments[kind]) {
			break
		}
	}
	if kind >= len(segments) || kind > 2 {
		return URI{}, Invalid(CodeBadURI, "", "a service event is at %s or %s", sampleURI(FeatureServices), sampleURI(Geoprocessing))
	}
	u := URI{Resource: Geoprocessing, Operation: GeoprocessingComplete}
	further := segments[kind+1:]
	if equalFoldASCII(segments[kind], featureServer) {
		u.Resource = FeatureServices
		if len(further) != 1 {
			return URI{}, Invalid(CodeBadURI, "", "one change type follows %s, as in %s", featureServer, sampleURI(FeatureServices))
		}
		var err error
		if u.Operation, err = eventOperation(FeatureServices, further[0]); err != nil {
			return URI{}, err
		}
	} else if len(further) != 0 {
		return URI{}, Invalid(CodeBadURI, "", "nothing follows %s: what became of the job is told by status", gpServer)
	}
	var err error
	if u.ID, err = unescapeID(segments[kind-1]); err != nil {
		return URI{}, err
	}
	if kind == 2 {
		if u.Folder, err = unescapeID(segments[0]); err != nil {
			return URI{}, err
		}
		if u.Folder == "" {
			return URI{}, Invalid(CodeBadURI, "", "the folder is empty")
		}
	}
	return u, u.normalise()
}

// isServiceKind reports whether a segment is FeatureServer or GPServer, in any ASCII case.
func isServiceKind(word string) bool {
	return equalFoldASCII(word, featureServer) || equalFoldASCII(word, gpServer)
}

// eventOperation finds the operation that an event names.
func eventOperation(resource Resource, name string) (Operation, error) {
	op, ok := operationNamed(resource, name)
	if !ok {
		if decoded, err := unescape(name); err == nil {
			op, ok = operationNamed(resource, decoded)
		}
	}
	if !ok {
		near := nearestOf(name, operationNames[resource])
		e := Invalid(CodeBadURI, "", "%s have no operation %q; the nearest is %s", plural(resource), clip(name), near)
		e.Suggestion = near
		return 0, e
	}
	return op, nil
}

// plural says what a resource's things are called in a sentence.
func plural(r Resource) string {
	switch r {
	case FeatureServices:
		return "feature services"
	case Geoprocessing:
		return "geoprocessing services"
	case CloudTypes:
		return "cloud types"
	case NoResource, Items, Groups, Users, Roles, Webhooks, resourceCount:
	}
	return r.String()
}

// sampleURI shows the form of a resource's URIs.
func sampleURI(r Resource) string {
	switch r {
	case FeatureServices:
		return "/services/[folder/]<name>/FeatureServer/FeaturesCreated"
	case Geoprocessing:
		return "/services/[folder/]<name>/GPServer"
	case Users:
		return "/users/<username>/signIn"
	case Webhooks:
		return "/webhooks/<id>/disable"
	case NoResource, Items, Groups, Roles, CloudTypes, resourceCount:
	}
	return "/" + r.String() + "/<id>/update"
}

// unescapeID decodes the segment of an id, a name or a folder. One that stands in the documentation to be filled in is refused, as whoever
// sends it has forgotten to.
func unescapeID(s string) (string, error) {
	if (piece{raw: s}).isPlaceholder() {
		return "", Invalid(CodePlaceholder, "", "%s is a placeholder of the documentation: put the id there (%%3C and %%3E are the characters)", clip(s))
	}
	return unescape(s)
}

// unescape decodes %XX; a percent sign that is none is refused.
func unescape(s string) (string, error) {
	if strings.IndexByte(s, '%') < 0 {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		if s[i] != '%' {
			b.WriteByte(s[i])
			i++
			continue
		}
		decoded, n, ok := decodeRun(s[i:])
		if !ok {
			return "", Invalid(CodeBadURI, "", "%% in %q is not followed by two hex digits; write %%25 for the character %%", clip(s))
		}
		b.WriteString(decoded)
		i += n
	}
	return b.String(), nil
}
