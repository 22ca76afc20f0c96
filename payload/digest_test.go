package payload_test

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"portalhook/payload"
	"portalhook/triggers"
)

const digested = `{"eventId":"e-1","uri":"/items/4adc30bb03054812a846fa592de105de/share","username":"jdoe",` +
	`"userId":"173dd04b69134bdf99c5000aad0b6298","when":1543192196521,"ownerId":"o","audience":["p","q"],"properties":{"sharedToGroups":["Everyone"]}}`

// Digests are stored and compared across upgrades.
func TestDigestNeverChanges(t *testing.T) {
	sum := payload.Digest(event(t, digested))
	require.Equal(t, "3d6b9239592a994321d08d0fec6d1e8d", hex.EncodeToString(sum[:]))
}

func TestDigestTellsContentApart(t *testing.T) {
	layer := int64(0)
	base := func() *triggers.Event {
		ev := event(t, digested)
		ev.Service = &triggers.ServiceFacts{ServiceName: "s"}
		return ev
	}
	seen := map[[payload.DigestSize]byte]string{payload.Digest(base()): "base"}
	for name, change := range map[string]func(*triggers.Event){
		"id":             func(ev *triggers.Event) { ev.URI.ID = "4ADC30bb03054812a846fa592de105de" },
		"operation":      func(ev *triggers.Event) { ev.URI.Operation = triggers.ItemsUnshare },
		"resource":       func(ev *triggers.Event) { ev.URI.Resource = triggers.Groups },
		"folder":         func(ev *triggers.Event) { ev.URI.Folder = "f" },
		"username":       func(ev *triggers.Event) { ev.Username = "jdo" },
		"shifted bounds": func(ev *triggers.Event) { ev.Username, ev.UserID = "jdoe1", "73dd04b69134bdf99c5000aad0b6298" },
		"user id":        func(ev *triggers.Event) { ev.UserID = "" },
		"when":           func(ev *triggers.Event) { ev.When++ },
		"no when":        func(ev *triggers.Event) { ev.HasWhen = false },
		"owner":          func(ev *triggers.Event) { ev.OwnerID = "" },
		"audience":       func(ev *triggers.Event) { ev.Audience = []string{"p"} },
		"audience split": func(ev *triggers.Event) { ev.Audience = []string{"pq"} },
		"properties":     func(ev *triggers.Event) { ev.Properties = []byte(`{"sharedToGroups":["Organization"]}`) },
		"no properties":  func(ev *triggers.Event) { ev.Properties = nil },
		"data":           func(ev *triggers.Event) { ev.Data = []byte(`{}`) },
		"extensions":     func(ev *triggers.Event) { ev.Extensions = []byte(`{}`) },
		"no service":     func(ev *triggers.Event) { ev.Service = nil },
		"service name":   func(ev *triggers.Event) { ev.Service.ServiceName = "t" },
		"service folder": func(ev *triggers.Event) { ev.Service.FolderName = "f" },
		"layer":          func(ev *triggers.Event) { ev.Service.LayerID = &layer },
		"generations":    func(ev *triggers.Event) { ev.Service.ServerGens = []int64{1, 2} },
		"changes":        func(ev *triggers.Event) { ev.Service.ChangesURL = "c" },
		"job":            func(ev *triggers.Event) { ev.Service.JobID = "j" },
		"task":           func(ev *triggers.Event) { ev.Service.TaskName = "t" },
		"status URL":     func(ev *triggers.Event) { ev.Service.StatusURL = "u" },
		"status":         func(ev *triggers.Event) { ev.Service.Status = "failed" },
	} {
		ev := base()
		change(ev)
		sum := payload.Digest(ev)
		require.NotContains(t, seen, sum, "%s and %s", name, seen[sum])
		seen[sum] = name
	}
}

func TestDigestLeavesOut(t *testing.T) {
	for name, change := range map[string]func(*triggers.Event){
		"the identity itself":         func(ev *triggers.Event) { ev.EventID, ev.Source = "e-2", "elsewhere" },
		"a date the server filled in": func(ev *triggers.Event) { ev.When = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			ev := event(t, digested)
			ev.HasWhen = false
			before := payload.Digest(ev)
			change(ev)
			require.Equal(t, before, payload.Digest(ev))
		})
	}
}

func BenchmarkDigest(b *testing.B) {
	ev := event(b, digested)
	b.ReportAllocs()
	for b.Loop() {
		payload.Digest(ev)
	}
}
