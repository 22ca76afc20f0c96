package triggers_test

import (
	"bytes"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"portalhook/triggers"
)

// addressForm is what the URL standard (https://url.spec.whatwg.org/#ends-in-a-number-checker) takes for an IPv4 address, right or wrong.
var addressForm = regexp.MustCompile(`(^|\.)([0-9]+|0[xX][0-9a-fA-F]*)\.?$`)

// FuzzParseTargets holds an allow-list to a naive reading of its entries, one by one: an address or a host is admitted when one of them names it.
func FuzzParseTargets(f *testing.F) {
	for _, seed := range [][3]string{
		{"127.0.0.0/8,intranet", "127.0.0.1", "INTRANET"},
		{"::ffff:10.0.0.0/104", "10.1.2.3", "10.1.2.3"},
		{"::ffff:0:0/90", "1.2.3.4", "x"},
		{" fe80::1%eth0 ", "fe80::1", "fe80::1"},
		{"10.0.0.1", "::ffff:10.0.0.1", "10.0.0.1"},
		{"0/0,,a.b.", "1.1.1.1", "a.b"},
		{"2130706433", "127.0.0.1", "2130706433"},
		{"X,0xg", "::", "x"},
		{"0X", "0.0.0.0", "0x"},
		{"a_b.example,xn--bcher-kva.example", "::", "A_B.example"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, list, address, host string) {
		entries := strings.Split(list, ",")
		targets, err := triggers.ParseTargets(entries, false)
		if err != nil {
			require.False(t, targets.AdmitsHost(host), "a list that is refused admits nothing")
			return
		}
		addr, errAddr := netip.ParseAddr(address)
		wantHost, wantAddr, lowered := false, false, strings.ToLower(host)
		for _, entry := range entries {
			entry = strings.TrimSpace(entry)
			prefix, err := netip.ParsePrefix(entry)
			if single, errSingle := netip.ParseAddr(entry); errSingle == nil {
				require.Empty(t, single.Zone())
				prefix, err = netip.PrefixFrom(single, single.BitLen()), nil
			}
			if err != nil {
				wantHost = wantHost || entry != "" && strings.ToLower(entry) == lowered
				require.NotRegexp(t, addressForm, entry, "no spelling of an address is taken for a name")
				continue
			}
			if errAddr == nil && addr.Zone() == "" {
				// By their 16 bytes IPv4 stands within IPv6.
				bits, of := prefix.Bits(), prefix.Addr()
				if of.Is4() {
					bits += 96
				}
				mapped := netip.PrefixFrom(netip.AddrFrom16(of.As16()), bits)
				within := samePrefix(mapped.Addr().As16(), addr.As16(), bits)
				// A wider prefix of IPv6 names IPv6 only.
				wantAddr = wantAddr || within && (addr.Unmap().Is4() == (of.Is4() || of.Is4In6() && bits >= 96))
			}
		}
		require.Equal(t, wantHost, targets.AdmitsHost(host))
		if errAddr == nil {
			require.Equal(t, wantAddr, targets.AdmitsAddr(addr), "%q %s", list, addr)
		}
	})
}

func samePrefix(a, b [16]byte, bits int) bool {
	for i := range bits {
		if (a[i/8]^b[i/8])>>(7-i%8)&1 == 1 {
			return false
		}
	}
	return true
}

var (
	idForm      = regexp.MustCompile(`^(evt|dlv|aud|rec)_[0-9a-f][0-9a-v]{11}[02468acegikmoqsu]$`)
	webhookForm = regexp.MustCompile(`^(?i:[0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$`)
)

// FuzzIDs holds ids to their form, and one number to one spelling.
func FuzzIDs(f *testing.F) {
	for _, text := range []string{
		"evt_0000000000002", "dlv_7vvvvvvvvvvvu", "rec_8000000000000", "aud_0000000000000", "evt_000000000000V", "", "4ADC30BB-0305-4812-a846-fa592de105de",
		"4adc30bb03054812a846fa592de105de", "4adc30bb030548-12a846-fa592de105de---",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		found := 0
		for prefix, kind := range map[string]struct {
			parse func(string) (triggers.ID, bool)
			print func(triggers.ID) string
		}{
			"evt_": {triggers.ParseEventID, triggers.ID.Event}, "dlv_": {triggers.ParseDeliveryID, triggers.ID.Delivery},
			"aud_": {triggers.ParseAuditID, triggers.ID.Audit}, "rec_": {triggers.ParseRecoveryID, triggers.ID.Recovery},
		} {
			if id, ok := kind.parse(text); ok {
				found++
				require.Positive(t, id)
				require.Equal(t, text, kind.print(id))
				require.True(t, strings.HasPrefix(text, prefix))
			}
		}
		want := 0
		if idForm.MatchString(text) && !strings.HasSuffix(text, "_0000000000000") {
			want = 1
		}
		require.Equal(t, want, found)
		id, ok := triggers.ParseWebhookID(text)
		require.Equal(t, webhookForm.MatchString(text), ok)
		if ok {
			plain := strings.ToLower(strings.ReplaceAll(text, "-", ""))
			require.Equal(t, plain, id.String())
			again, ok := triggers.ParseWebhookID(id.Dashed())
			require.True(t, ok)
			require.Equal(t, id, again)
		}
	})
}

// FuzzServiceWords holds the words of services to their lists: whatever is understood is printed as the list has it, and understood again.
func FuzzServiceWords(f *testing.F) {
	for _, text := range []string{"FeatureServer", "gpserver", "*", "featurescreated", "FeaturesK", "ſeaturescreated", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		kind, ok := triggers.ParseServiceType(text)
		require.Equal(t, strings.EqualFold(text, "FeatureServer") || strings.EqualFold(text, "GPServer"), ok)
		if ok {
			service := triggers.Service{Kind: kind, Name: "x"}
			require.True(t, strings.EqualFold(service.Type(), text))
		}
		change, err := triggers.ParseChangeType(text)
		if err != nil {
			requireSentence(t, err)
			return
		}
		again, err := triggers.ParseChangeType(change)
		require.NoError(t, err)
		require.Equal(t, change, again)
		service := triggers.Service{Kind: triggers.FeatureServices, Name: "x"}
		_, err = triggers.Default().ParseTrigger(service.Trigger(change))
		require.NoError(t, err)
	})
}

// FuzzLines holds lines and arrays to the naive way: each event is read by itself, and the first that is none is named by its place, in
// either form.
func FuzzLines(f *testing.F) {
	const good = `{"uri":"/items/x/delete"}`
	for _, seed := range []string{
		good + "\n" + good, good + "\n\n\r\n" + good + "\n", good + "\n{}\n" + good, "\ufeff" + good, good + good, "[" + good + "]", "\n", good + "\n" + good[:9] + "\n" + good[9:],
		`{"uri":"/items/x/delete","properties":{"a":{"b":1,"b":2}}}` + "\n" + good, good + "\x00\n",
	} {
		f.Add([]byte(seed))
	}
	catalog := triggers.Default()
	f.Fuzz(func(t *testing.T, body []byte) {
		var want []*triggers.Event
		bad := -1
		var values [][]byte
		for line := range bytes.SplitSeq(body, []byte{'\n'}) {
			if len(bytes.TrimSpace(line)) == 0 {
				continue
			}
			values = append(values, line)
			ev, err := catalog.ParseEvent(slices.Clone(line))
			if err != nil {
				bad = len(want)
				break
			}
			want = append(want, ev)
		}
		events, batch, err := catalog.ParseEvents("application/x-ndjson", slices.Clone(body))
		requireSameEvents(t, want, bad, events, batch, err)
		if len(values) > 0 && bad < 0 {
			joined := slices.Concat([]byte("["), bytes.Join(values, []byte(",")), []byte("]"))
			events, batch, err = catalog.ParseEvents("application/json", joined)
			requireSameEvents(t, want, bad, events, batch, err)
		}
	})
}

func requireSameEvents(t *testing.T, want []*triggers.Event, bad int, events []*triggers.Event, batch bool, err error) {
	t.Helper()
	if bad >= 0 || len(want) == 0 {
		requireSentence(t, err)
		var field *triggers.FieldError
		require.ErrorAs(t, err, &field)
		if bad >= 0 {
			require.Equal(t, bad, field.Index)
		}
		require.Empty(t, events)
		return
	}
	require.NoError(t, err)
	require.True(t, batch)
	require.Len(t, events, len(want))
	for i := range want {
		want[i].When, events[i].When = 0, 0 // now, where nothing is said
		require.Equal(t, want[i], events[i])
	}
}
