package payload_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"portalhook/payload"
	"portalhook/triggers"
)

// event parses what a backend posts.
func event(t require.TestingT, body string) *triggers.Event {
	ev, err := triggers.Default().ParseEvent([]byte(body))
	require.NoError(t, err, body)
	return ev
}

// renderProperties gives the properties that receivers read of an event with the URI and the properties.
func renderProperties(t require.TestingT, uri, properties string) (string, error) {
	body, err := payload.Render(event(t, fmt.Sprintf(`{"uri":%q,"properties":%s}`, uri, properties)), builtAt)
	if err != nil {
		return "", err
	}
	_, got, found := strings.Cut(strings.TrimSuffix(string(body), "}"), `,"properties":`)
	require.True(t, found)
	return got, nil
}

func TestRenderPrints(t *testing.T) {
	const webhook = "72fed926aeb74c9ca8a22aacddc6725a"
	for name, c := range map[string]struct{ event, want string }{
		"the event's own date": {
			`{"uri":"/items/a/move","when":1543192196521}`,
			`{"username":"","userId":"","when":1543192196521,"operation":"move","source":"items","id":"a","properties":{}}`,
		},
		"zero, which is a date": {
			`{"uri":"/items/a/move","when":0}`,
			`{"username":"","userId":"","when":0,"operation":"move","source":"items","id":"a","properties":{}}`,
		},
		"acceptance where the sender is mute": {
			`{"uri":"/items/a/move"}`,
			`{"username":"","userId":"","when":1543192196530,"operation":"move","source":"items","id":"a","properties":{}}`,
		},
		"our own events in the portal's form": {
			`{"uri":"/webhooks/` + webhook + `/disable","when":1,"properties":{"reason":"five failures"}}`,
			`{"username":"","userId":"","when":1,"operation":"disable","source":"webhooks","id":"` + webhook + `","properties":{"reason":"five failures"}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			body, err := payload.Render(event(t, c.event), builtAt)
			require.NoError(t, err)
			require.Equal(t, c.want, string(body))
		})
	}
}

func TestRenderHasEveryFamily(t *testing.T) {
	for _, entry := range triggers.Default().Entries() {
		body, err := payload.Render(event(t, string(entry.SampleEvent)), builtAt)
		require.NoError(t, err, entry.Trigger)
		requireCompact(t, body)
	}
	_, err := payload.Render(&triggers.Event{}, builtAt)
	require.Equal(t, triggers.Invalid(triggers.CodeNotSupported, "uri", `events of "" cannot be delivered`), err)
}

func TestRenderBuildsProperties(t *testing.T) {
	const items, groups, users, roles = "/items/i/", "/groups/g/", "/users/u/", "/roles/r/"
	for name, c := range map[string]struct{ uri, sent, want string }{
		"no builder: untouched":          {items + "update", `{"z":1,"a":{"y":[1.0,-0,1e5]},"access":"public"}`, `{"z":1,"a":{"y":[1.0,-0,1e5]},"access":"public"}`},
		"public":                         {items + "share", `{"access":"public"}`, `{"sharedToGroups":["Everyone"]}`},
		"public and groups":              {items + "share", `{"groups":["b","a"],"access":"public"}`, `{"sharedToGroups":["Everyone","b","a"]}`},
		"org":                            {items + "share", `{"access":"org"}`, `{"sharedToGroups":["Organization"]}`},
		"shared":                         {items + "share", `{"access":"shared","groups":["a"]}`, `{"sharedToGroups":["a"]}`},
		"private":                        {items + "share", `{"access":"private"}`, `{"sharedToGroups":[]}`},
		"private, the groups stay":       {items + "unshare", `{"access":"private","groups":["a"]}`, `{"unsharedFromGroups":["a"]}`},
		"groups alone":                   {items + "unshare", `{"groups":["a"]}`, `{"unsharedFromGroups":["a"]}`},
		"no groups: nobody":              {items + "unshare", `{"groups":[]}`, `{"unsharedFromGroups":[]}`},
		"ready made nobody":              {items + "share", `{"sharedToGroups":[]}`, `{"sharedToGroups":[]}`},
		"Everyone once":                  {items + "share", `{"access":"public","groups":["Everyone","a","Everyone"]}`, `{"sharedToGroups":["Everyone","a"]}`},
		"ready made wins":                {items + "share", `{"access":7,"sharedToGroups":["a"],"groups":null}`, `{"sharedToGroups":["a"],"access":7,"groups":null}`},
		"duplicates compare as text":     {items + "share", `{"sharedToGroups":["\u0061","a","A"]}`, `{"sharedToGroups":["a","A"]}`},
		"new owner":                      {items + "reassign", `{"newOwner":"ann"}`, `{"reassignedTo":["ann"]}`},
		"a group's owner":                {groups + "reassign", `{"newOwner":"ann"}`, `{"reassignedTo":["ann"]}`},
		"a group's owner, unsaid":        {groups + "reassign", `{"why":"leaving"}`, `{"why":"leaving"}`},
		"a group's owner, nothing said":  {groups + "reassign", `{}`, `{}`},
		"users":                          {groups + "invite", `{"users":["b","a","b"]}`, `{"invitedUserNames":["b","a"]}`},
		"username":                       {groups + "addUsers", `{"username":"a"}`, `{"addedUserNames":["a"]}`},
		"users before username":          {groups + "removeUsers", `{"username":"me","users":["a"]}`, `{"removedUserNames":["a"],"username":"me"}`},
		"a single ready made":            {groups + "updateUsers", `{"updatedUserNames":"CORP\\ann"}`, `{"updatedUserNames":["CORP\\ann"]}`},
		"one item":                       {groups + "itemShare", `{"item":{"id":"1","type":"Image"}}`, `{"sharedItems":[{"itemId":"1","itemType":"Image"}]}`},
		"items of both spellings, extra": {groups + "itemUnshare", `{"items":[{"itemType":"A","n":1.0,"itemId":"1"},{"type":"B","id":"2"},{"id":"1","type":"C"}]}`, `{"unsharedItems":[{"itemId":"1","itemType":"A","n":1.0},{"itemId":"2","itemType":"B"}]}`},
		"one ready-made item":            {groups + "itemShare", `{"sharedItems":{"itemId":"1","itemType":"A","id":"x"}}`, `{"sharedItems":[{"itemId":"1","itemType":"A","id":"x"}]}`},
		"role":                           {users + "updateUserRole", `{"role":"Editor"}`, `{"userRoleUpdatedTo":["Editor"]}`},
		"roleName":                       {users + "updateUserRole", `{"roleName":["Editor"]}`, `{"userRoleUpdatedTo":["Editor"]}`},
		"licenseType":                    {users + "updateUserLicenseType", `{"licenseType":"Editor"}`, `{"userLicenseTypeUpdatedTo":["Editor"]}`},
		"userLicenseType":                {users + "updateUserLicenseType", `{"userLicenseType":"Editor"}`, `{"userLicenseTypeUpdatedTo":["Editor"]}`},
		"name of a role":                 {roles + "add", `{"name":"New role","description":"<&>"}`, `{"name":["New role"],"description":"<&>"}`},
		"role as its name":               {roles + "add", `{"role":"New role"}`, `{"name":["New role"]}`},
		"roles are changed without":      {roles + "update", `{}`, `{}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := renderProperties(t, c.uri, c.sent)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

func TestRenderRefusesProperties(t *testing.T) {
	const (
		missing, wrong, outside = triggers.CodeMissing, triggers.CodeWrongType, triggers.CodeOutOfRange
		sharing                 = "the facts access (public, org, shared or private) and groups"
	)
	for name, c := range map[string]struct{ uri, sent, code, field, detail string }{
		"share says nothing":    {"/items/i/share", `{}`, missing, "properties.sharedToGroups", "this operation needs sharedToGroups, an array of group ids, Everyone and Organization, or " + sharing},
		"unshare says nothing":  {"/items/i/unshare", `{"x":1}`, missing, "properties.unsharedFromGroups", "this operation needs unsharedFromGroups, an array of group ids, Everyone and Organization, or " + sharing},
		"the owner, old or new": {"/items/i/reassign", `{"owner":"ann"}`, missing, "properties.reassignedTo", "this operation needs reassignedTo, an array of user names, or the fact newOwner"},
		"whose item":            {"/items/i/reassign", `{}`, missing, "properties.reassignedTo", "this operation needs reassignedTo, an array of user names, or the fact newOwner"},
		"who is invited":        {"/groups/g/invite", `{}`, missing, "properties.invitedUserNames", "this operation needs invitedUserNames, an array of user names, or one of the facts users and username"},
		"who is added":          {"/groups/g/addUsers", `{}`, missing, "properties.addedUserNames", "this operation needs addedUserNames, an array of user names, or one of the facts users and username"},
		"who is removed":        {"/groups/g/removeUsers", `{"removeUserNames":["a"]}`, missing, "properties.removedUserNames", "this operation needs removedUserNames, an array of user names, or one of the facts users and username"},
		"who is updated":        {"/groups/g/updateUsers", `{}`, missing, "properties.updatedUserNames", "this operation needs updatedUserNames, an array of user names, or one of the facts users and username"},
		"which item":            {"/groups/g/itemShare", `{}`, missing, "properties.sharedItems", "this operation needs sharedItems, an array of objects with itemId and itemType, or one of the facts items and item"},
		"which item is back":    {"/groups/g/itemUnshare", `{}`, missing, "properties.unsharedItems", "this operation needs unsharedItems, an array of objects with itemId and itemType, or one of the facts items and item"},
		"which role":            {"/users/u/updateUserRole", `{}`, missing, "properties.userRoleUpdatedTo", "this operation needs userRoleUpdatedTo, an array of role names, or one of the facts role and roleName"},
		"which user type":       {"/users/u/updateUserLicenseType", `{}`, missing, "properties.userLicenseTypeUpdatedTo", "this operation needs userLicenseTypeUpdatedTo, an array of user types, or one of the facts licenseType and userLicenseType"},
		"which new role":        {"/roles/r/add", `{}`, missing, "properties.name", "this operation needs name, an array of role names, or one of the facts role and roleName"},

		"access is a number":        {"/items/i/share", `{"access":1}`, wrong, "properties.access", "must be public, org, shared or private"},
		"access is null":            {"/items/i/share", `{"access":null,"groups":["a"]}`, wrong, "properties.access", "must be public, org, shared or private"},
		"no such access":            {"/items/i/share", `{"access":"Public"}`, outside, "properties.access", "must be public, org, shared or private"},
		"shared with no group":      {"/items/i/share", `{"access":"shared"}`, missing, "properties.groups", "must name the groups when access is shared"},
		"shared with no groups":     {"/items/i/share", `{"access":"shared","groups":[]}`, missing, "properties.groups", "must name the groups when access is shared"},
		"a group is a number":       {"/items/i/share", `{"groups":["a",7]}`, wrong, "properties.groups[1]", "must be a string: sharedToGroups is an array of group ids, Everyone and Organization"},
		"groups are null":           {"/items/i/share", `{"groups":null}`, wrong, "properties.groups", "must be a string: sharedToGroups is an array of group ids, Everyone and Organization"},
		"ready made null":           {"/items/i/share", `{"sharedToGroups":null,"access":"public"}`, wrong, "properties.sharedToGroups", "must be a string: sharedToGroups is an array of group ids, Everyone and Organization"},
		"ready made object":         {"/groups/g/addUsers", `{"addedUserNames":{"a":1}}`, wrong, "properties.addedUserNames", "must be a string: addedUserNames is an array of user names"},
		"a list in a list":          {"/groups/g/addUsers", `{"addedUserNames":[["a"]]}`, wrong, "properties.addedUserNames[0]", "must be a string: addedUserNames is an array of user names"},
		"a nameless user":           {"/groups/g/addUsers", `{"users":["a",""]}`, outside, "properties.users[1]", "must not be empty: addedUserNames is an array of user names"},
		"nobody is added":           {"/groups/g/addUsers", `{"users":[]}`, outside, "properties.users", "must not be empty: it is an array of user names"},
		"no item is shared":         {"/groups/g/itemShare", `{"sharedItems":[]}`, outside, "properties.sharedItems", "must not be empty: it is an array of objects with itemId and itemType"},
		"a group's owner is a list": {"/groups/g/reassign", `{"newOwner":[1]}`, wrong, "properties.newOwner[0]", "must be a string: reassignedTo is an array of user names"},
		"an item is its id":         {"/groups/g/itemShare", `{"item":"1"}`, wrong, "properties.item", "must be an object with itemId and itemType"},
		"an item without id":        {"/groups/g/itemShare", `{"items":[{"id":"1","type":"A"},{"type":"A"}]}`, missing, "properties.items[1].itemId", "an item has itemId (or id), a string"},
		"an item without type":      {"/groups/g/itemShare", `{"item":{"id":"1"}}`, missing, "properties.item.itemType", "an item has itemType (or type), a string"},
		"an item's id is a number":  {"/groups/g/itemShare", `{"item":{"id":1,"type":"A"}}`, wrong, "properties.item.id", "must be a string"},
		"an item's type is empty":   {"/groups/g/itemShare", `{"item":{"id":"1","itemType":""}}`, outside, "properties.item.itemType", "must not be empty"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := renderProperties(t, c.uri, c.sent)
			require.Equal(t, triggers.Invalid(c.code, c.field, "%s", c.detail), err)
		})
	}
}

func TestRenderWithoutProperties(t *testing.T) {
	_, err := payload.Render(event(t, `{"uri":"/items/i/share"}`), builtAt)
	var field *triggers.FieldError
	require.ErrorAs(t, err, &field)
	require.Equal(t, triggers.CodeMissing, field.Code)
	require.Equal(t, "properties.sharedToGroups", field.Field)
}

// The parser never lets these through; a builder that meets them all the same says so and does not panic.
func TestRenderJudgesWhatIsNoObject(t *testing.T) {
	uri, err := triggers.Default().ParseURI("/items/i/share")
	require.NoError(t, err)
	for _, properties := range []string{`[]`, `"text"`, `{`, `{"sharedToGroups":[`, `{"sharedToGroups":["a"],"sharedToGroups":["b"]}`, `{"a":}`, ` `} {
		_, err := payload.Render(&triggers.Event{URI: uri, Properties: []byte(properties)}, builtAt)
		var field *triggers.FieldError
		require.ErrorAs(t, err, &field, properties)
		require.Equal(t, triggers.CodeNotJSON, field.Code)
	}
}

// The specification of sharing, from the parts of the event rather than from its text.
func TestSharingMatchesItsSpecification(t *testing.T) {
	words := rapid.SampledFrom([]string{"Everyone", "Organization", "a", "b", "c", "é", `q"`, "<&>"})
	rapid.Check(t, func(t *rapid.T) {
		groups := rapid.SliceOfN(words, 0, 40).Draw(t, "groups")
		access := rapid.SampledFrom([]string{"", "public", "org", "shared", "private"}).Draw(t, "access")
		extras := rapid.SliceOfNDistinct(rapid.StringMatching(`x[a-z]{1,3}`), 0, 12, rapid.ID[string]).Draw(t, "extras")

		var want []string
		switch access {
		case "public":
			want = append(want, "Everyone")
		case "org":
			want = append(want, "Organization")
		}
		for _, group := range groups {
			if !slices.Contains(want, group) {
				want = append(want, group)
			}
		}

		members := []string{`"groups":` + marshal(groups)}
		if access != "" {
			members = append(members, `"access":`+marshal(access))
		}
		var others string
		for i, extra := range extras {
			member := fmt.Sprintf(`%q:%d`, extra, i)
			members = append(members, member)
			others += "," + member
		}
		// The facts may stand anywhere; the others keep their order.
		at := rapid.IntRange(0, len(members)-1).Draw(t, "place of the groups")
		members = slices.Insert(members[1:], at, members[0])

		got, err := renderProperties(t, "/items/i/share", "{"+strings.Join(members, ",")+"}")
		if access == "shared" && len(groups) == 0 {
			require.Error(t, err)
			return
		}
		require.NoError(t, err)
		require.Equal(t, `{"sharedToGroups":`+marshal(want)+others+`}`, got)
	})
}

// marshal is JSON by the standard library, without HTML escapes.
func marshal(value any) string {
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(err)
	}
	if text := strings.TrimSpace(out.String()); text != "null" {
		return text
	}
	return "[]"
}

func TestManyNamesAreDeduplicatedInLinearTime(t *testing.T) {
	var sent, want []string
	for i := range 15_000 {
		name := fmt.Sprintf("%d", i)
		sent = append(sent, name, name)
		want = append(want, name)
	}
	got, err := renderProperties(t, "/groups/g/addUsers", `{"users":`+marshal(sent)+`}`)
	require.NoError(t, err)
	require.Equal(t, `{"addedUserNames":`+marshal(want)+`}`, got)
}

// FuzzRender holds that whatever the parser accepts is rendered as one compact JSON object or refused by naming the field, the same
// each time.
func FuzzRender(f *testing.F) {
	for _, entry := range triggers.Default().Entries() {
		f.Add(entry.SampleEvent)
	}
	for _, properties := range []string{
		`{"access":"public","groups":["a"]}`, `{"sharedToGroups":"a","z":{"\u0061":[1e3,"<\/>"]}}`, `{"access":null}`, `{"groups":[{}]}`,
	} {
		f.Add([]byte(`{"uri":"/items/i/share","properties":` + properties + `}`))
	}
	f.Add([]byte(`{"uri":"/groups/g/itemShare","username":"\ud83d\uddfa","properties":{"items":[{"id":"1","type":"A"},{"id":"1","itemType":"B"}]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		ev, err := triggers.Default().ParseEvent(body)
		if err != nil {
			return
		}
		got, err := payload.Render(ev, builtAt)
		if err != nil {
			var field *triggers.FieldError
			require.ErrorAs(t, err, &field)
			require.NotEmpty(t, field.Field)
			require.NotEqual(t, triggers.CodeNotJSON, field.Code, "the parser let it through")
			return
		}
		requireCompact(t, got)
		again, err := payload.Render(ev, builtAt)
		require.NoError(t, err)
		require.Equal(t, got, again)
		first, second := payload.Digest(ev), payload.Digest(ev)
		require.Equal(t, first, second)
	})
}

func BenchmarkRender(b *testing.B) {
	const head = `"username":"jdoe","userId":"173dd04b69134bdf99c5000aad0b6298","when":1543192196521`
	for _, c := range []struct{ name, event string }{
		{"no properties", `{"uri":"/items/4adc30bb03054812a846fa592de105de/update",` + head + `}`},
		{"ready made", `{"uri":"/items/4adc30bb03054812a846fa592de105de/share",` + head + `,"properties":{"sharedToGroups":["Everyone","a4e6e37e2f7d4bb5b64d587c91d39a2c"]}}`},
		{"facts", `{"uri":"/items/4adc30bb03054812a846fa592de105de/share",` + head + `,"properties":{"access":"public","groups":["a4e6e37e2f7d4bb5b64d587c91d39a2c"]}}`},
		{"item", `{"uri":"/groups/4adc30bb03054812a846fa592de105de/itemShare",` + head + `,"properties":{"item":{"id":"6cd80cb32d4a4b4d858a020e57fba7b1","type":"Map Package"}}}`},
	} {
		ev := event(b, c.event)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := payload.Render(ev, time.Time{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
