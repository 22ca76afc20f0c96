package triggers_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"portalhook/triggers"
)

func TestParseURI(t *testing.T) {
	for _, c := range []struct {
		text, canonical, anyForm string
		resource                 triggers.Resource
		operation, folder, id    string
		key                      string
	}{
		{"/items/" + anItem + "/share", "/items/" + anItem + "/share", "/items/share", triggers.Items, "share", "", anItem, anItem},
		{"/Items/ABC/SHARE", "/items/ABC/share", "/items/share", triggers.Items, "share", "", "ABC", "abc"},
		{"/items/x/add", "/items/x/add", "/items/add", triggers.Items, "add", "", "x", "x"},
		{"/items/share/share", "/items/share/share", "/items/share", triggers.Items, "share", "", "share", "share"},
		{"/items/*/share", "/items/%2A/share", "/items/share", triggers.Items, "share", "", "*", "*"},
		{"/items/%3CitemID%3E/share", "/items/%3CitemID%3E/share", "/items/share", triggers.Items, "share", "", "<itemID>", "<itemid>"},
		{
			"/users/Ann%20B.@x.example/signin", "/users/Ann B.@x.example/signIn", "/users/signin", triggers.Users, "signIn", "", "Ann B.@x.example",
			"ann b.@x.example",
		},
		{`/users/CORP\Ann/signOut`, `/users/CORP\Ann/signOut`, "/users/signout", triggers.Users, "signOut", "", `CORP\Ann`, `corp\ann`},
		{"/users/a%2fb%25/update", "/users/a%2Fb%25/update", "/users/update", triggers.Users, "update", "", "a/b%", "a/b%"},
		{"/users/%E2%84%AAai/update", "/users/\u212aai/update", "/users/update", triggers.Users, "update", "", "\u212aai", "kai"},
		{"/users/bulkenable", "/users/bulkEnable", "/users/bulkEnable", triggers.Users, "bulkEnable", "", "", ""},
		{"/roles/Editor/update", "/roles/Editor/update", "/roles/update", triggers.Roles, "update", "", "Editor", "Editor"},
		{
			"/webhooks/72FED926-AEB7-4C9C-A8A2-2AACDDC6725A/exhaust", "/webhooks/72FED926-AEB7-4C9C-A8A2-2AACDDC6725A/exhaust", "/webhooks/exhaust",
			triggers.Webhooks, "exhaust", "", "72FED926-AEB7-4C9C-A8A2-2AACDDC6725A", "72fed926aeb74c9ca8a22aacddc6725a",
		},
		{
			"/services/Parcels/featureserver/featurescreated", "/services/Parcels/FeatureServer/FeaturesCreated",
			"/services/*/FeatureServer/FeaturesCreated", triggers.FeatureServices, "FeaturesCreated", "", "Parcels", "parcels",
		},
		{
			"/services/City/Parcels/FeatureServer/FeaturesEdited", "/services/City/Parcels/FeatureServer/FeaturesEdited",
			"/services/*/*/FeatureServer/FeaturesEdited", triggers.FeatureServices, "FeaturesEdited", "City", "Parcels", "parcels",
		},
		{"/services/Buffer/GPServer", "/services/Buffer/GPServer", "/services/*/GPServer", triggers.Geoprocessing, "complete", "", "Buffer", "buffer"},
		{
			"com.qlik.v1.app.created", "com.qlik.v1.app.created", "com.qlik.v1.app.created", triggers.CloudTypes, "", "", "com.qlik.v1.app.created",
			"com.qlik.v1.app.created",
		},
	} {
		t.Run(c.text, func(t *testing.T) {
			got, err := triggers.Default().ParseURI(c.text)
			require.NoError(t, err)
			require.Equal(t, c.canonical, got.String())
			require.Equal(t, c.anyForm, got.AnyForm())
			require.Equal(t, c.resource, got.Resource)
			require.Equal(t, c.operation, triggers.OperationName(got.Resource, got.Operation))
			require.Equal(t, c.folder, got.Folder)
			require.Equal(t, triggers.Fold(c.folder), got.FolderKey())
			require.Equal(t, c.id, got.ID)
			require.Equal(t, c.key, got.Key())
		})
	}
}

func TestParseURIRefusals(t *testing.T) {
	for _, c := range []struct{ text, code, detail string }{
		{"", "REQUIRED", "the uri is empty"},
		{"/", "BAD_URI", `there is no resource "": events are about items, groups, users, roles, services or webhooks, or bear a cloud type ` +
			`without leading slash`},
		{"/itemz/x/share", "BAD_URI", `there is no resource "itemz": events are about items, groups, users, roles, services or webhooks, or bear ` +
			`a cloud type without leading slash`},
		{"/items", "BAD_URI", "id and operation are missing, as in /items/<id>/update"},
		{"/items/x", "BAD_URI", "the operation is missing, as in /items/<id>/update"},
		{"/items/x/", "BAD_URI", "the operation is missing, as in /items/<id>/update"},
		{"/items/x/y", "BAD_URI", `items have no operation "y"; the nearest is add`},
		{"/items/x/*", "BAD_URI", `items have no operation "*"; the nearest is add`},
		{"/items/x/bulkEnable", "BAD_URI", `items have no operation "bulkEnable"; the nearest is delete`},
		{"/items/a/b/share", "BAD_URI", "there are more segments than id and operation; a slash within an id is written %2F"},
		{"/items/share", "MISSING_ID", "the id is missing: write /items/<id>/share with the id of what it happened to"},
		{"/roles/add", "MISSING_ID", "the id is missing: write /roles/<id>/add with the id of what it happened to"},
		{"/items//share", "MISSING_ID", "the id is empty: a URI looks like /items/<id>/update"},
		{"/users/ann/bulkEnable", "BAD_URI", "a bulk event has no id: write /users/bulkEnable"},
		{"/items/<itemID>/share", "PLACEHOLDER", "<itemID> is a placeholder of the documentation: put the id there (%3C and %3E are the characters)"},
		{"/services/<name>/GPServer", "PLACEHOLDER", "<name> is a placeholder of the documentation: put the id there (%3C and %3E are the characters)"},
		{"/users/50%/update", "BAD_URI", `% in "50%" is not followed by two hex digits; write %25 for the character %`},
		{"/users/%ff/update", "BAD_URI", "the id is not UTF-8"},
		{"/users/a%0Ab/update", "BAD_URI", "the id holds a control character"},
		{"/users/a\u0085b/update", "BAD_URI", "the id holds a control character"},
		{"/users/" + strings.Repeat("é", 257) + "/update", "TOO_LONG", "an id has at most 256 characters, not 257"},
		{"/services/Parcels", "BAD_URI", "a service event is at /services/[folder/]<name>/FeatureServer/FeaturesCreated or " +
			"/services/[folder/]<name>/GPServer"},
		{"/services/a/b/c/GPServer", "BAD_URI", "a service event is at /services/[folder/]<name>/FeatureServer/FeaturesCreated or " +
			"/services/[folder/]<name>/GPServer"},
		{"/services/Parcels/FeatureServer", "BAD_URI", "one change type follows FeatureServer, as in " +
			"/services/[folder/]<name>/FeatureServer/FeaturesCreated"},
		{"/services/Parcels/FeatureServer/*", "BAD_URI", `feature services have no operation "*"; the nearest is FeaturesEdited`},
		{"/services/Parcels/GPServer/complete", "BAD_URI", "nothing follows GPServer: what became of the job is told by status"},
		{"/services//Parcels/GPServer", "BAD_URI", "the folder is empty"},
		{"/services//GPServer", "MISSING_ID", "the id is missing, as in /services/[folder/]<name>/GPServer"},
		{"items/x/share", "BAD_URI", `"items/x/share" is no event type of the catalogue; the nearest is /items/x/share`},
		{"com.qlik.v1.app.create", "BAD_URI", `"com.qlik.v1.app.create" is no event type of the catalogue; the nearest is com.qlik.v1.app.created`},
		{"com.qlik.v1.app.*", "BAD_URI", `"com.qlik.v1.app.*" is no event type of the catalogue; the nearest is com.qlik.v1.app.created`},
		{"nothing", "BAD_URI", `"nothing" is no event type of the catalogue`},
	} {
		t.Run(c.text, func(t *testing.T) {
			_, err := triggers.Default().ParseURI(c.text)
			var e *triggers.FieldError
			require.ErrorAs(t, err, &e)
			require.Equal(t, c.detail, e.Detail)
			require.Equal(t, c.code, e.Code)
			require.Empty(t, e.Field)
		})
	}
}

func TestHexKey(t *testing.T) {
	for _, c := range []struct {
		name, uri string
		ok        bool
	}{
		{"an item's id", "/items/" + anItem + "/share", true},
		{"in upper case", "/items/" + strings.ToUpper(anItem) + "/share", true},
		{"a webhook's, dashed", "/webhooks/4adc30bb-0305-4812-a846-fa592de105de/disable", true},
		{"a role's in upper case is another", "/roles/" + strings.ToUpper(anItem) + "/update", false},
		{"too short", "/items/" + anItem[1:] + "/share", false},
		{"no hex digit", "/items/g" + anItem[1:] + "/share", false},
		{"no id", "/users/bulkEnable", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			u, err := triggers.Default().ParseURI(c.uri)
			require.NoError(t, err)
			packed, ok := u.HexKey()
			require.Equal(t, c.ok, ok)
			if ok {
				require.Equal(t, anItem, triggers.WebhookID(packed).String())
			}
		})
	}
}

func TestUserLevelOfEvents(t *testing.T) {
	for uri, want := range map[string]bool{
		"/items/x/share": true, "/groups/x/update": true, "/users/x/update": false, "/roles/x/update": false, "/services/x/GPServer": false,
		"/webhooks/x/disable": false, "com.qlik.v1.app.created": true, "com.qlik.v1.user.created": false,
	} {
		t.Run(uri, func(t *testing.T) {
			u, err := triggers.Default().ParseURI(uri)
			require.NoError(t, err)
			require.Equal(t, want, triggers.Default().UserLevel(&u))
		})
	}
}

// anyURI draws events of every family with the most awkward ids.
func anyURI() *rapid.Generator[triggers.URI] {
	id := rapid.StringOfN(rapid.OneOf(rapid.RuneFrom([]rune(`%/*?[]{}<>.@ \,-AzK2F`+"\u212aſé")), rapid.RuneFrom([]rune("abc"))), 1, 12, -1)
	return rapid.Custom(func(t *rapid.T) triggers.URI {
		r := rapid.SampledFrom([]triggers.Resource{
			triggers.Items, triggers.Groups, triggers.Users, triggers.Roles, triggers.FeatureServices, triggers.Geoprocessing, triggers.Webhooks,
		}).Draw(t, "resource")
		op := triggers.Operation(rapid.IntRange(0, triggers.AllOperations(r).Len()-1).Draw(t, "operation"))
		folder, name := "", ""
		if !triggers.IsBulk(r, op) {
			name = id.Draw(t, "id")
		}
		if r == triggers.FeatureServices || r == triggers.Geoprocessing {
			folder = rapid.OneOf(rapid.Just(""), id).Draw(t, "folder")
		}
		u, err := triggers.NewURI(r, op, folder, name)
		if err != nil {
			t.Fatal(err)
		}
		return u
	})
}

// What String writes, ParseURI reads back; and as a trigger it hears just that event.
func TestURIStringParsesToTheSame(t *testing.T) {
	catalog := triggers.Default()
	rapid.Check(t, func(t *rapid.T) {
		u := anyURI().Draw(t, "uri")
		parsed, err := catalog.ParseURI(u.String())
		require.NoError(t, err)
		require.Equal(t, u, parsed)

		anyForm, err := catalog.ParseTrigger(u.AnyForm())
		require.NoError(t, err)
		require.True(t, hears(&anyForm, &u))

		exact, err := catalog.ParseTrigger(u.String())
		if err != nil {
			var e *triggers.FieldError
			require.ErrorAs(t, err, &e)
			require.Equal(t, "CANNOT_FIRE", e.Code, "an add, or a single role")
			return
		}
		require.True(t, hears(&exact, &u))
		if other := anyURI().Draw(t, "other"); other.Key() != u.Key() || other.FolderKey() != u.FolderKey() || other.Resource != u.Resource {
			require.False(t, hears(&exact, &other))
		}
	})
}
