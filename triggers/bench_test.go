package triggers_test

import (
	"strings"
	"testing"

	"portalhook/triggers"
)

// sharedItem is a portal event of about 600 bytes, as a backend sends it.
var sharedItem = []byte(`{"eventId":"1c7a9f0e-4b52-4f6b-9d0a-5a4f3f0c2b11","uri":"/items/4adc30bb03054812a846fa592de105de/share",` +
	`"username":"jdoe","userId":"173dd04b69134bdf99c5000aad0b6298","when":1543192196521,` +
	`"properties":{"sharedToGroups":["Everyone","a4e6e37e2f7d4bb5b64d587c91d39a2c","ecd6646698b24180904e4888d5eaede3",` +
	`"2dff15c514ad4f04b291e304e24a524b","6cd80cb32d4a4b4d858a020e57fba7b1"],"title":"Parcels of the northern district",` +
	`"itemType":"Feature Service","tags":["cadastre","parcels","north"],"size":48213377,` +
	`"note":"shared by the nightly job after the review had been signed off"}}`)

func BenchmarkParseEvent(b *testing.B) {
	catalog := triggers.Default()
	b.SetBytes(int64(len(sharedItem)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := catalog.ParseEvent(sharedItem); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseEvents(b *testing.B) {
	catalog := triggers.Default()
	const events = 100
	body := []byte("[" + strings.Repeat(string(sharedItem)+",", events-1) + string(sharedItem) + "]")
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := catalog.ParseEvents("application/json", body); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/events, "ns/event")
}

func BenchmarkParseURI(b *testing.B) {
	catalog := triggers.Default()
	for b.Loop() {
		if _, err := catalog.ParseURI("/items/4adc30bb03054812a846fa592de105de/share"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFold(b *testing.B) {
	for name, text := range map[string]string{
		"folded": "4adc30bb03054812a846fa592de105de", "ascii": "Jane.Doe@Example.com", "unicode": "Ännchen.Öztürk@example.com",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				triggers.Fold(text)
			}
		})
	}
}

func BenchmarkParseTrigger(b *testing.B) {
	catalog := triggers.Default()
	for _, text := range []string{"/items/4adc30bb03054812a846fa592de105de/share", "/groups/qa-*/{addUsers,removeUsers}"} {
		b.Run(text, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := catalog.ParseTrigger(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
