package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestPropertiesOf(t *testing.T) {
	for name, test := range map[string]struct {
		set  []string
		want string
	}{
		"text":                         {[]string{"name=Publisher"}, `{"name":"Publisher"}`},
		"empty text":                   {[]string{"name="}, `{"name":""}`},
		"equals signs in the value":    {[]string{"q=a=b"}, `{"q":"a=b"}`},
		"numbers and words stay text":  {[]string{"a=7", "b=true", "c=null"}, `{"a":"7","b":"true","c":"null"}`},
		"an array":                     {[]string{`groups=["a","b"]`}, `{"groups":["a","b"]}`},
		"an object":                    {[]string{`item={"id":"x"}`}, `{"item":{"id":"x"}}`},
		"what only looks like one":     {[]string{"a=[x]", `b={"a":1,"a":2}`}, `{"a":"[x]","b":"{\"a\":1,\"a\":2}"}`},
		"the same name makes an array": {[]string{"g=a", "name=n", "g=b", "g=c"}, `{"g":["a","b","c"],"name":"n"}`},
		"quotes and other scripts":     {[]string{`a"b=Ω"`}, `{"a\"b":"Ω\""}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := propertiesOf(test.set)
			require.NoError(t, err)
			require.Equal(t, test.want, string(got))
		})
	}
}

// readAll gives "line:body" for each event, with our eventIds taken out, and the error that ended it.
func readAll(in io.Reader) (events []string, err error) {
	reader := newEventReader(in)
	for {
		event, err := reader.next()
		if errors.Is(err, io.EOF) {
			return events, nil
		}
		if err != nil {
			return events, err
		}
		body := string(event.body)
		if rest, ok := strings.CutPrefix(body, `{"eventId":"emit-`); ok {
			_, rest, _ = strings.Cut(rest, `"`)
			body = "{" + strings.TrimPrefix(rest, ",")
		}
		events = append(events, strconv.Itoa(event.line)+":"+body)
	}
}

func TestReadEvents(t *testing.T) {
	for name, test := range map[string]struct {
		in      string
		want    []string
		problem string
	}{
		"nothing":                   {"", nil, ""},
		"blanks":                    {" \n\n", nil, ""},
		"one a line":                {"{\"uri\":\"/a\"}\n\n{\"uri\":\"/b\"}\n", []string{`1:{"uri":"/a"}`, `3:{"uri":"/b"}`}, ""},
		"no newline at the end":     {`{"uri":"/a"}`, []string{`1:{"uri":"/a"}`}, ""},
		"over several lines":        {"{\n\"uri\":1}\n {\n}", []string{`1:{"uri":1}`, `3:{}`}, ""},
		"an array":                  {"[\n{\"uri\":\"/a\"},\n{\"uri\":\"/b\"}\n]\n", []string{`2:{"uri":"/a"}`, `3:{"uri":"/b"}`}, ""},
		"an empty array":            {"[]", nil, ""},
		"an id is kept":             {`{"uri":"/a","eventId":"x"}`, []string{`1:{"uri":"/a","eventId":"x"}`}, ""},
		"also one that is null":     {`{"eventId":null}`, []string{`1:{"eventId":null}`}, ""},
		"a CloudEvent has its own":  {`{"specversion":"1.0","id":"x"}`, []string{`1:{"specversion":"1.0","id":"x"}`}, ""},
		"numbers stay as they came": {`{"n":1.0e2}`, []string{`1:{"n":1.0e2}`}, ""},
		"not an object":             {"{}\n7\n", []string{`1:{}`}, "line 2: an event is a JSON object"},
		"not JSON":                  {"{}\n{}\n{x}\n", []string{`1:{}`, `2:{}`}, "line 3: not valid JSON: invalid character 'x'"},
		"a name twice":              {"{}\n{\"a\":1,\n\"a\":2}\n", []string{`1:{}`}, `not valid JSON: duplicate object member name`},
		"too short":                 {"{}\n{\"uri\":", []string{`1:{}`}, "line 2: not valid JSON: it ends too early"},
		"an array without end":      {"[{},\n{}\n", []string{`1:{}`, `2:{}`}, "line 3: not valid JSON: it ends too early"},
		"more after the array":      {"[{}]\n{}", []string{`1:{}`}, "line 2: there is more after the array"},
		"commas between lines":      {"{},\n{}", []string{`1:{}`}, "line 1: not valid JSON: invalid character ','"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readAll(strings.NewReader(test.in))
			require.Equal(t, test.want, got)
			if test.problem == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, test.problem)
			}
		})
	}
}

// The line of an event does not depend on how the file is cut into reads.
func TestReadEventsInPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var text strings.Builder
		var want []string
		line := 1
		for i := range rapid.IntRange(0, 20).Draw(t, "events") {
			blank := rapid.IntRange(0, 3).Draw(t, "blank lines")
			text.WriteString(strings.Repeat("\n", blank))
			line += blank
			within := rapid.IntRange(0, 2).Draw(t, "lines within")
			want = append(want, fmt.Sprintf("%d:{%s\"n\":%d}", line, "", i))
			text.WriteString("{" + strings.Repeat("\n", within) + fmt.Sprintf("\"n\":%d}\n", i))
			line += within + 1
		}
		got, err := readAll(&pieces{text: text.String(), size: rapid.IntRange(1, 40).Draw(t, "piece")})
		if err != nil || strings.Join(got, " ") != strings.Join(want, " ") {
			t.Fatalf("%v: %q, want %q", err, got, want)
		}
	})
}

// pieces is a reader that gives a few bytes at a time.
type pieces struct {
	text string
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	if p.text == "" {
		return 0, io.EOF
	}
	n := copy(b, p.text[:min(p.size, len(p.text))])
	p.text = p.text[n:]
	return n, nil
}

// fakeServer takes events as POST /api/v1/events does: a batch whole or not at all. Refuse decides by the answer it gives, 0 being
// none; it is asked before anything is taken.
type fakeServer struct {
	*httptest.Server
	refuse func(request int, events []string) (status int, body string)

	mu    sync.Mutex // held through a request; requests are answered one after another
	asked int
	taken []string // in order, duplicates left out
	ids   map[string]bool
}

func newFakeServer(t *testing.T) *fakeServer {
	t.Helper()
	f := &fakeServer{ids: map[string]bool{}, refuse: func(int, []string) (int, string) { return 0, "" }}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.asked++
		var events []struct {
			EventID string         `json:"eventId"`
			N       jsontext.Value `json:"n"`
		}
		if err := json.Unmarshal(body, &events); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		numbers := make([]string, len(events))
		for i := range events {
			numbers[i] = string(events[i].N)
		}
		if status, text := f.refuse(f.asked, numbers); status != 0 {
			if status < 0 {
				panic(http.ErrAbortHandler)
			}
			w.Header().Set("Retry-After", "2")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, text)
			return
		}
		var answers []string
		for i, event := range events {
			duplicate := f.ids[event.EventID]
			if !duplicate {
				f.taken = append(f.taken, numbers[i])
			}
			f.ids[event.EventID] = true
			answers = append(answers, fmt.Sprintf(`{"id":"evt_%s","eventId":%q,"matched":2,"duplicate":%t}`, numbers[i], event.EventID, duplicate))
		}
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, `{"events":[`+strings.Join(answers, ",")+`]}`)
	}))
	t.Cleanup(f.Close)
	return f
}

// emit sends n events, numbered from 0 and one a line, and gives what was printed of them.
func (f *fakeServer) emit(t *testing.T, n int, pauses *[]time.Duration) (tallied, []string, error) {
	t.Helper()
	var file strings.Builder
	for i := range n {
		fmt.Fprintf(&file, "{\"n\":%d}\n", i)
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	s := &sender{
		client: &client{base: f.URL, http: &http.Client{Transport: transport}}, tries: 4,
		pause: func(_ context.Context, d time.Duration) bool { *pauses = append(*pauses, d); return true },
	}
	var printed []string
	total, err := emitAll(t.Context(), newEventReader(strings.NewReader(file.String())), s, func(n numbered) error {
		printed = append(printed, fmt.Sprintf("%s %d", n.ID, n.line))
		return nil
	})
	return total, printed, err
}

func numbersTo(n int) []string {
	numbers := make([]string, n)
	for i := range numbers {
		numbers[i] = strconv.Itoa(i)
	}
	return numbers
}

func TestEmitFileInBatches(t *testing.T) {
	f := newFakeServer(t)
	var pauses []time.Duration
	total, printed, err := f.emit(t, 2500, &pauses)
	require.NoError(t, err)
	require.Equal(t, tallied{events: 2500, matched: 5000}, total)
	require.Equal(t, numbersTo(2500), f.taken)
	require.Equal(t, 3, f.asked)
	require.Equal(t, "evt_2499 2500", printed[2499])
	require.Empty(t, pauses)
}

func TestEmitAsksABusyServerAgain(t *testing.T) {
	f := newFakeServer(t)
	f.refuse = func(request int, _ []string) (int, string) {
		return []int{0, 429, 503, 0, -1, 0}[min(request, 5)], ""
	}
	var pauses []time.Duration
	total, _, err := f.emit(t, 1500, &pauses)
	require.NoError(t, err)
	require.Equal(t, 1500, total.events)
	require.Equal(t, numbersTo(1500), f.taken)
	require.Equal(t, []time.Duration{2 * time.Second, 2 * time.Second, 250 * time.Millisecond}, pauses,
		"the server's wait where it names one, and our own where the connection broke")
}

func TestEmitGivesUp(t *testing.T) {
	f := newFakeServer(t)
	f.refuse = func(request int, _ []string) (int, string) {
		if request == 1 {
			return 0, ""
		}
		return http.StatusServiceUnavailable, `{"errors":[{"code":"OVERLOADED","detail":"too busy"}],"traceId":"t1"}`
	}
	var pauses []time.Duration
	total, _, err := f.emit(t, 1500, &pauses)
	require.EqualError(t, err, "lines 1001 to 1500: given up after 4 tries: too busy (trace t1)")
	require.Equal(t, 1000, total.events)
	require.Len(t, pauses, 3)
}

// However the server refuses one event of a file, what it has then is the file up to that event.
func TestEmitStopsAtTheRefusedEvent(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		bad := rapid.IntRange(0, 60).Draw(rt, "bad")
		most := rapid.IntRange(1, 40).Draw(rt, "most")
		f := newFakeServer(t)
		f.refuse = func(_ int, events []string) (int, string) {
			if len(events) > most {
				return http.StatusRequestEntityTooLarge, `{"errors":[{"code":"TOO_MANY_DELIVERIES","detail":"too many"}]}`
			}
			for i, number := range events {
				if number == strconv.Itoa(bad) {
					return http.StatusBadRequest, fmt.Sprintf(`{"errors":[{"code":"X","detail":"is bad","field":"uri","index":%d}]}`, i)
				}
			}
			return 0, ""
		}
		var pauses []time.Duration
		total, printed, err := f.emit(t, 50, &pauses)
		f.Close()
		if bad >= 50 {
			require.NoError(rt, err)
		} else {
			require.EqualError(rt, err, fmt.Sprintf("line %d: uri: is bad", bad+1))
		}
		want := numbersTo(min(bad, 50))
		require.Equal(rt, len(want), total.events)
		require.Equal(rt, strings.Join(want, " "), strings.Join(f.taken, " "))
		require.Len(rt, printed, len(want))
	})
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		value string
		want  time.Duration
	}{
		"absent":     {"", 0},
		"seconds":    {"7", 7 * time.Second},
		"zero":       {"0", 0},
		"negative":   {"-7", 0},
		"enormous":   {"99999999999999", 24 * time.Hour},
		"far away":   {"Fri, 31 Dec 2999 23:59:59 GMT", 24 * time.Hour},
		"very large": {"999999999", 24 * time.Hour},
		"a date":     {"Sun, 22 Nov 2026 12:00:30 GMT", 30 * time.Second},
		"one past":   {"Sun, 22 Nov 2026 11:00:30 GMT", 0},
		"nonsense":   {"soon", 0},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, test.want, retryAfter(test.value, now)) })
	}
}
