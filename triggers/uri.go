package triggers

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxIDCharacters bounds the id and the folder of an event's URI.
const MaxIDCharacters = 256

// URI is the address of what happened, parsed and normalised: a URI in hand is valid.
type URI struct {
	Resource  Resource
	Operation Operation
	// Folder is the folder of a service, empty at the root and for every other resource.
	Folder string
	// ID is what it happened to, as the sender spelt it: an item, group or role id, a user name, a service name, a cloud event type,
	// a webhook id. Empty for bulk events.
	ID string

	// key and folderKey are ID and Folder under the resource's rule of comparison, folded once here so that matching never folds.
	key, folderKey string
	hex            [16]byte
	isHex          bool
}

// Key is ID under the resource's rule of comparison: simple case folding for items, groups, users, services and webhooks (whose ids
// also lose their dashes), the text itself for roles and cloud types.
func (u URI) Key() string { return u.key }

// FolderKey is Folder under the rule of comparison.
func (u URI) FolderKey() string { return u.folderKey }

// HexKey is the Key packed into 16 bytes when it is 32 hex digits; false for any other.
func (u URI) HexKey() (key [16]byte, ok bool) { return u.hex, u.isHex }

// HexKey packs a key of 32 lower-case hex digits into 16 bytes; false for any other text, so that one packed key has one spelling.
func HexKey(key string) (packed [16]byte, ok bool) {
	if len(key) != 2*len(packed) {
		return packed, false
	}
	for i := range packed {
		high, low := hexDigits[key[2*i]], hexDigits[key[2*i+1]]
		if high|low > 15 {
			return [16]byte{}, false
		}
		packed[i] = high<<4 | low
	}
	return packed, true
}

// hexDigits is the value of each lower-case hex digit, 0xff for every other byte.
var hexDigits = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for i, c := range []byte("0123456789abcdef") {
		t[c] = byte(i)
	}
	return t
}()

// NewURI makes the URI of an operation on something, as ParseURI would: the id (with folder, for services) is not percent-encoded.
// The error is a *FieldError. Cloud types are the business of a Catalog's ParseURI, which knows them.
func NewURI(r Resource, op Operation, folder, id string) (URI, error) {
	u := URI{Resource: r, Operation: op, Folder: folder, ID: id}
	if err := u.normalise(); err != nil {
		return URI{}, err
	}
	return u, nil
}

// normalise checks ids and fills in what is derived from them.
func (u *URI) normalise() error {
	switch {
	case int(u.Operation) >= len(operationNames[u.Resource]):
		return Invalid(CodeBadURI, "", "there is no such operation")
	case IsBulk(u.Resource, u.Operation):
		if u.ID != "" {
			return Invalid(CodeBadURI, "", "a bulk event has no id: write %s", u.AnyForm())
		}
		return nil
	case u.ID == "":
		return Invalid(CodeMissingID, "", "the id is missing, as in %s", sampleURI(u.Resource))
	}
	if err := checkID(u.ID); err != nil {
		return err
	}
	if u.Folder != "" {
		if err := checkID(u.Folder); err != nil {
			return err
		}
		u.folderKey = Fold(u.Folder)
	}
	u.key = idKey(u.Resource, u.ID)
	u.hex, u.isHex = HexKey(u.key)
	return nil
}

// idKey is an id under the resource's rule of comparison.
func idKey(r Resource, id string) string {
	switch {
	case r == Webhooks:
		if w, ok := ParseWebhookID(id); ok {
			return w.String()
		}
		return Fold(id)
	case r.folds():
		return Fold(id)
	}
	return id
}

// checkID checks what holds for the ids of every resource.
func checkID(id string) error {
	switch {
	case !utf8.ValidString(id):
		return Invalid(CodeBadURI, "", "the id is not UTF-8")
	case hasControl(id):
		return Invalid(CodeBadURI, "", "the id holds a control character")
	case len(id) > MaxIDCharacters && utf8.RuneCountInString(id) > MaxIDCharacters:
		return Invalid(CodeTooLong, "", "an id has at most %d characters, not %d", MaxIDCharacters, utf8.RuneCountInString(id))
	}
	return nil
}

// String is the canonical spelling: /items/<id>/share, /users/bulkEnable, /services/<folder>/<name>/FeatureServer/FeaturesCreated; of
// a cloud event its type. Percent-encoded is what would otherwise be read as something else, in a URI or in a trigger.
func (u URI) String() string { return string(u.AppendText(nil)) }

// AppendText appends String to b.
func (u URI) AppendText(b []byte) []byte {
	if u.Resource == CloudTypes {
		return append(b, u.ID...)
	}
	b = append(b, '/')
	b = append(b, u.Resource.String()...)
	if u.Folder != "" {
		b = appendEscaped(append(b, '/'), u.Folder)
	}
	if u.ID != "" {
		b = appendEscaped(append(b, '/'), u.ID)
	}
	switch u.Resource {
	case Geoprocessing:
		return append(append(b, '/'), gpServer...)
	case FeatureServices:
		b = append(append(b, '/'), featureServer...)
	case NoResource, Items, Groups, Users, Roles, CloudTypes, Webhooks, resourceCount:
	}
	b = append(b, '/')
	return append(b, OperationName(u.Resource, u.Operation)...)
}

// AnyForm is the trigger that hears such an event whatever its id: /items/share, /users/signin; of a service
// /services/*/FeatureServer/FeaturesCreated, with a second `*` for its folder if it is in one; of a cloud event its type.
func (u URI) AnyForm() string {
	if u.Folder != "" {
		return fmt.Sprintf("/services/*%s", anyForms[u.Resource][u.Operation][len("/services"):])
	}
	if u.Resource == CloudTypes {
		return u.ID
	}
	return anyForms[u.Resource][u.Operation]
}

// anyForms are the any forms of every operation, made once.
var anyForms = func() (forms [resourceCount][]string) {
	for r := range resourceCount {
		for op := range operationNames[r] {
			form := "/" + r.String() + "/" + PayloadOperation(r, Operation(op))
			switch r {
			case FeatureServices:
				form = "/services/*/" + featureServer + "/" + operationNames[r][op]
			case Geoprocessing:
				form = "/services/*/" + gpServer
			case NoResource, Items, Groups, Users, Roles, CloudTypes, Webhooks, resourceCount:
			}
			forms[r] = append(forms[r], form)
		}
	}
	return forms
}()

const reserved = "%/*?[]{}<>"

// appendEscaped percent-encodes what has a meaning in URIs or triggers; every other character stays as it is.
func appendEscaped(b []byte, id string) []byte {
	const digits = "0123456789ABCDEF"
	for {
		i := strings.IndexAny(id, reserved)
		if i < 0 {
			return append(b, id...)
		}
		b = append(append(b, id[:i]...), '%', digits[id[i]>>4], digits[id[i]&15])
		id = id[i+1:]
	}
}
