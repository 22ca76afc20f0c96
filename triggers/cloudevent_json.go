package triggers

import (
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// cloudEvent makes the Event of a CloudEvent in its JSON form, an object that has been found to be JSON.
func (c *Catalog) cloudEvent(object []byte) (*Event, error) {
	var p cloudParser
	r := c.newReader(object)
	defer r.release()
	if err := r.members(p.member); err != nil {
		return nil, err
	}
	// An attribute counts before what stands in the member extensions, wherever that stood.
	p.event.Extensions = append(p.event.Extensions, p.nested...)
	return c.FromCloudEvent(p.event)
}

// cloudParser reads the members of a CloudEvent's JSON form. The values it keeps point into the body.
type cloudParser struct {
	event  CloudEvent
	nested []Extension // of the member extensions
}

func (p *cloudParser) member(name string, value []byte) error {
	ce := &p.event
	switch name {
	case attributeSpecVersion:
		return attribute(&ce.SpecVersion, name, value)
	case attributeID:
		return attribute(&ce.ID, name, value)
	case attributeSource:
		return attribute(&ce.Source, name, value)
	case attributeType:
		return attribute(&ce.Type, name, value)
	case attributeSubject:
		return attribute(&ce.Subject, name, value)
	case attributeTime:
		return attribute(&ce.Time, name, value)
	case attributeDataContentType:
		return attribute(&ce.DataContentType, name, value)
	case attributeDataSchema:
		return attribute(&ce.DataSchema, name, value)
	case "data":
		if ce.Data != nil {
			return twoData()
		}
		ce.Data, ce.isJSON = value, true
		return nil
	case "data_base64":
		return p.binary(name, value)
	case "extensions":
		// No attribute of the standard, but Qlik Cloud sends what is too large for one in an object of this name.
		if kind := jsontext.Value(value).Kind(); kind != '{' {
			return Invalid(CodeWrongType, name, "extensions must be an object, not %s", kindName(kind))
		}
		p.nested = extensionsOf(value)
		return nil
	}
	return p.extension(name, value)
}

// attribute reads an attribute that is a string. As CloudEvents has it, null is the same as nothing.
func attribute(text *string, name string, value []byte) error {
	x := Extension{Name: name, Value: value}
	var err error
	*text, err = x.text()
	return err
}

// binary reads data that is sent as base64, which SDKs do with bytes even when these are JSON.
func (p *cloudParser) binary(name string, value []byte) error {
	var text string
	if err := attribute(&text, name, value); err != nil {
		return err
	}
	if p.event.Data != nil {
		return twoData()
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return Invalid(CodeOutOfRange, name, "data_base64 is not base64 (RFC 4648, section 4)")
	}
	p.event.Data = data
	return nil
}

func twoData() error {
	return Invalid(CodeNotAllowed, "data_base64", "a CloudEvent has data or data_base64, not both")
}

// extension reads an attribute beyond those of the standard.
func (p *cloudParser) extension(name string, value []byte) error {
	if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		e := Invalid(CodeUnknownField, clip(name), "%q is no attribute of a CloudEvent: their names are of the letters a to z and digits", clip(name))
		if lower := strings.ToLower(name); nearWithin(lower, cloudAttributes, 0) != "" {
			e.Suggestion = lower
			e.Detail += "; there is " + lower
		}
		return e
	}
	kind := jsontext.Value(value).Kind()
	if kind == 'n' { // the same as nothing
		return nil
	}
	if kind == '{' || kind == '[' {
		return Invalid(CodeWrongType, clip(name), "an extension of a CloudEvent is a string, a number or a boolean, not %s", kindName(kind))
	}
	if kind == '0' {
		if _, err := strconv.ParseInt(string(value), 10, 32); err != nil {
			return Invalid(CodeOutOfRange, clip(name), "a number in an extension of a CloudEvent is whole and of 32 bits, not %s", clip(string(value)))
		}
	}
	p.event.Extensions = append(p.event.Extensions, Extension{Name: name, Value: value})
	return nil
}

// cloudAttributes are the names that people write in another case.
var cloudAttributes = []string{
	attributeSpecVersion, attributeID, attributeSource, attributeType, attributeSubject, attributeTime, attributeDataContentType,
	attributeDataSchema, attributeUserID, attributeOwnerID, attributeTenantID, attributeSpaceID, attributeTopLevelResourceID,
}
