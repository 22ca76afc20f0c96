package console

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLanguageIsChosen(t *testing.T) {
	c := newTestConsole(t)
	for _, test := range []struct{ cookie, accepted, want string }{
		{"", "", "en"},
		{"", "it-IT,it;q=0.9,en;q=0.8", "it"},
		{"", "pt", "pt-BR"},
		{"", "pt-PT", "pt-BR"},
		{"", "ja-JP", "ja"},
		{"", "en-GB", "en"},
		{"", "fi", "en"},
		{"", "fi, it;q=0.1", "it"},
		{"ja", "it", "ja"},
		{"xx", "it", "it"},
		{"", ";;;", "en"},
	} {
		require.Equal(t, test.want, c.speech.choose(test.cookie, test.accepted).Tag, test)
	}
}

func TestWordsOfALanguage(t *testing.T) {
	c := newTestConsole(t)
	english, japanese, brazilian := c.speech.languages[0], c.speech.languages[3], c.speech.languages[2]
	require.Equal(t, "1 webhook was deleted.", english.T("webhooks.done.delete", "count", 1))
	require.Equal(t, "1,234 webhooks were deleted.", english.T("webhooks.done.delete", "count", 1234))
	require.Equal(t, "0 webhook foi excluído.", brazilian.T("webhooks.done.delete", "count", 0))
	require.Equal(t, "1.234 webhooks foram excluídos.", brazilian.T("webhooks.done.delete", "count", 1234))
	require.Equal(t, "1 件の Webhook を削除しました。", japanese.T("webhooks.done.delete", "count", 1))
	require.Equal(t, "{name} <b>", english.T("webhooks.made", "name", "{name} <b>")[:10])
	require.Equal(t, "⟦nothing⟧", english.T("nothing"))

	for share, want := range map[float64]string{0: "0%", 0.001: "1%", 0.5: "50%", 0.999: "99%", 1: "100%"} {
		require.Equal(t, want, english.Percent(share), share)
	}
	for took, want := range map[time.Duration]string{
		0: "0.0 ms", 1500 * time.Microsecond: "1.5 ms", 12 * time.Millisecond: "12 ms", 3400 * time.Millisecond: "3.4 s", 5 * time.Minute: "5 min",
	} {
		require.Equal(t, want, english.Duration(took), took)
	}
	for past, want := range map[time.Duration]string{
		3 * time.Second: "3 sec. ago", 61 * time.Second: "1 min. ago", 25 * time.Hour: "1 day ago", 50 * time.Hour: "2 days ago", -90 * time.Minute: "in 1 hr.",
	} {
		require.Equal(t, want, english.Ago(start.Add(-past), start), past)
	}
}
