package triggers_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"portalhook/triggers"
)

func webhookWith(t require.TestingT, texts ...string) *triggers.Webhook {
	list, err := triggers.Default().ParseTriggers("eventTypes", texts)
	require.NoError(t, err)
	return &triggers.Webhook{Triggers: list}
}

// TestTheServiceOfAWebhook is the one that all its triggers are about, spelt out.
func TestTheServiceOfAWebhook(t *testing.T) {
	for name, c := range map[string]struct {
		texts       []string
		want        triggers.Service // zero: none
		changeTypes []string
	}{
		"all of it":         {[]string{"/services/roads/FeatureServer"}, triggers.Service{Kind: triggers.FeatureServices, Name: "roads"}, []string{"*"}},
		"by a star":         {[]string{"/services/roads/FeatureServer/*"}, triggers.Service{Kind: triggers.FeatureServices, Name: "roads"}, []string{"*"}},
		"in a folder":       {[]string{"/services/Traffic/Roads/FeatureServer/FeaturesEdited"}, triggers.Service{Kind: triggers.FeatureServices, Folder: "Traffic", Name: "Roads"}, []string{"FeaturesEdited"}},
		"in another case":   {[]string{"/services/Roads/FeatureServer/FeaturesCreated", "/services/roads/FeatureServer/FeaturesPosted"}, triggers.Service{Kind: triggers.FeatureServices, Name: "Roads"}, []string{"FeaturesCreated", "FeaturesPosted"}},
		"all beside one":    {[]string{"/services/roads/FeatureServer/FeaturesCreated", "/services/roads/FeatureServer"}, triggers.Service{Kind: triggers.FeatureServices, Name: "roads"}, []string{"*"}},
		"a change by glob":  {[]string{"/services/roads/FeatureServer/Attachments{Created,Deleted}", "/services/roads/FeatureServer/AttachmentsCreated"}, triggers.Service{Kind: triggers.FeatureServices, Name: "roads"}, []string{"AttachmentsCreated", "AttachmentsDeleted"}},
		"jobs":              {[]string{"/services/buffers/GPServer"}, triggers.Service{Kind: triggers.Geoprocessing, Name: "buffers"}, []string{"*"}},
		"a star in a name":  {[]string{"/services/a%2Ab/GPServer"}, triggers.Service{Kind: triggers.Geoprocessing, Name: "a*b"}, []string{"*"}},
		"a slash in a name": {[]string{"/services/a%2Fb/GPServer"}, triggers.Service{}, nil},
		"two services":      {[]string{"/services/roads/FeatureServer", "/services/rails/FeatureServer"}, triggers.Service{}, nil},
		"two kinds":         {[]string{"/services/roads/FeatureServer", "/services/roads/GPServer"}, triggers.Service{}, nil},
		"a folder and none": {[]string{"/services/roads/FeatureServer", "/services/a/roads/FeatureServer"}, triggers.Service{}, nil},
		"any":               {[]string{"/services/*/FeatureServer"}, triggers.Service{}, nil},
		"any in a folder":   {[]string{"/services/a/*/FeatureServer"}, triggers.Service{}, nil},
		"a glob":            {[]string{"/services/roads?/FeatureServer"}, triggers.Service{}, nil},
		"the rest":          {[]string{"/services/a/**"}, triggers.Service{}, nil},
		"items too":         {[]string{"/services/roads/FeatureServer", "/items"}, triggers.Service{}, nil},
		"items":             {[]string{"/items/a/share"}, triggers.Service{}, nil},
		"everything":        {[]string{"/"}, triggers.Service{}, nil},
		"cloud types":       {[]string{"com.qlik.v1.app.created"}, triggers.Service{}, nil},
		"nothing":           {nil, triggers.Service{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := webhookWith(t, c.texts...)
			got, ok := w.Service()
			require.Equal(t, c.want, got)
			require.Equal(t, c.want != triggers.Service{}, ok)
			if ok {
				require.Equal(t, c.changeTypes, w.ChangeTypes())
			}
		})
	}
}

// TestTriggersOfServices: what subscribes a service is about that service, however odd its name.
func TestTriggersOfServices(t *testing.T) {
	names := rapid.StringMatching(`[A-Za-z0-9_ .*?%{}<>ßİ\\-]{1,20}`)
	rapid.Check(t, func(r *rapid.T) {
		s := triggers.Service{
			Kind: rapid.SampledFrom([]triggers.Resource{triggers.FeatureServices, triggers.Geoprocessing}).Draw(r, "kind"),
			Name: names.Draw(r, "name"), Folder: rapid.OneOf(rapid.Just(""), names).Draw(r, "folder"),
		}
		require.NoError(r, s.Validate())
		got, ok := webhookWith(r, s.Trigger(triggers.Every)).Service()
		require.True(r, ok)
		require.Equal(r, s, got)
		other := s
		other.Name, other.Folder = strings.ToUpper(s.Name)+"x", s.Folder
		require.False(r, got.Is(other))
	})
}

// TestServiceSettingsAndOthers: the retry portal means the settings of services for a webhook of one service, else the organisation's.
func TestServiceSettingsAndOthers(t *testing.T) {
	tenant := triggers.Tenant{
		Settings:        triggers.PortalSettings{Attempts: 4, TimeoutSeconds: 11, PauseSeconds: 6, MetricMinutes: 1},
		ServiceSettings: triggers.ServiceSettings{Attempts: 2, TimeoutSeconds: 9, PauseSeconds: 3, DeactivationPolicy: triggers.DeactivationPolicy{NumberOfFailures: 7, DaysInPast: 8}},
	}
	service, items := webhookWith(t, "/services/roads/FeatureServer"), webhookWith(t, "/items")
	for _, w := range []*triggers.Webhook{service, items} {
		require.Nil(t, tenant.PolicyFor(w), "only of the retry portal")
		w.Retry.Profile = triggers.RetryPortal
	}
	require.Equal(t, triggers.PortalSettings{Attempts: 2, TimeoutSeconds: 9, PauseSeconds: 3}, tenant.SettingsFor(service))
	require.Equal(t, tenant.Settings, tenant.SettingsFor(items))
	require.Equal(t, &triggers.DeactivationPolicy{NumberOfFailures: 7, DaysInPast: 8}, tenant.PolicyFor(service))
	require.Nil(t, tenant.PolicyFor(items))
	service.Deactivation = &triggers.DeactivationPolicy{NumberOfFailures: 1, DaysInPast: 1}
	require.Equal(t, service.Deactivation, tenant.PolicyFor(service))
	service.Deactivation = nil
	var fresh triggers.Tenant
	require.Equal(t, &triggers.DeactivationPolicy{NumberOfFailures: 5, DaysInPast: 5}, fresh.PolicyFor(service))
	require.Equal(t, triggers.PortalSettings{Attempts: 3, TimeoutSeconds: 10, PauseSeconds: 5}, fresh.SettingsFor(service))
}
