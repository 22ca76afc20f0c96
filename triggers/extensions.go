package triggers

import (
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// extensionsOf cuts a plain event's extensions, an object that has been found to be JSON, into its members.
func extensionsOf(object []byte) []Extension {
	var extensions []Extension
	r := (*Catalog)(nil).newReader(object)
	defer r.release()
	_ = r.members(func(name string, value []byte) error {
		extensions = append(extensions, Extension{Name: name, Value: value, field: "extensions." + name})
		return nil
	})
	return extensions
}

// takeExtensions takes user, owner and audience out of extensions where the event itself names none, leaves the tenant out, since the
// sender's key decides it, and gives the others as a compact JSON object, nil when there are none.
func (ev *Event) takeExtensions(extensions []Extension) ([]byte, error) {
	var rest []byte
	names := make(map[string]bool, len(extensions))
	for i := range extensions {
		x := &extensions[i]
		var err error
		switch {
		case x.is(attributeTenantID):
		case x.is(attributeUserID):
			err = x.user(&ev.UserID)
		case x.is(attributeOwnerID):
			err = x.user(&ev.OwnerID)
		case x.is(attributeAudience):
			err = x.audience(&ev.Audience)
		case names[x.Name]:
			err = Invalid(CodeDuplicateKey, x.fieldName(), "the extension is given twice")
		default:
			names[x.Name] = true
			if rest == nil {
				rest = append(rest, '{')
			} else {
				rest = append(rest, ',')
			}
			rest = append(appendQuoted(rest, x.Name), ':')
			rest = append(rest, compact(x.Value)...)
		}
		if err != nil {
			return nil, err
		}
	}
	if rest == nil {
		return nil, nil
	}
	return append(rest, '}'), nil
}

// is reports whether the extension is the one of a name, whatever the case of its letters: as attributes of CloudEvents names are in
// lower case, in the older forms ownerId and the like.
func (x *Extension) is(name string) bool { return equalFoldASCII(x.Name, name) }

func (x *Extension) fieldName() string {
	if x.field != "" {
		return clip(x.field)
	}
	return clip(x.Name)
}

// text is the value of an extension that must be a string, or null for none.
func (x *Extension) text() (string, error) {
	if jsontext.Value(x.Value).Kind() == 'n' {
		return "", nil
	}
	return stringOf(x.fieldName(), x.Value)
}

// user sets a user's id unless it is known.
func (x *Extension) user(id *string) error {
	text, err := x.text()
	switch n := utf8.RuneCountInString(text); {
	case err != nil:
		return err
	case n > MaxNameCharacters:
		return Invalid(CodeTooLong, x.fieldName(), "%s has at most %d characters, not %d", clip(x.Name), MaxNameCharacters, n)
	}
	if *id == "" {
		*id = text
	}
	return nil
}

// audience sets the audience unless it is known. Its user ids stand with commas between them; spaces around one are no part of it.
func (x *Extension) audience(users *[]string) error {
	text, err := x.text()
	if err != nil {
		return err
	}
	var all []string
	for user := range strings.SplitSeq(text, ",") {
		if user = strings.TrimSpace(user); user == "" {
			continue
		}
		if n := utf8.RuneCountInString(user); n > MaxNameCharacters {
			return Invalid(CodeTooLong, x.fieldName(), "a user id has at most %d characters, not %d", MaxNameCharacters, n)
		}
		all = append(all, user)
	}
	if *users == nil {
		*users = all
	}
	return nil
}
