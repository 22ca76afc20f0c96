package console

import (
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// One folder a language, one file an area: flat objects of key and text. A text has placeholders such as {name}; one that depends on a
// number is an object of plural forms, chosen by {count}.
//
//go:embed messages
var messageFiles embed.FS

const (
	languageCookie = "portalhook_lang"
	sourceLanguage = "en"
)

// tags are the languages there are, in the order of the switch; the first is for those who read none of them.
var tags = []string{sourceLanguage, "it", "pt-BR", "ja"}

// speech is every language, with the templates in it.
type speech struct {
	matcher   language.Matcher
	languages []*words
}

// words is a language: its messages, and every template with them.
type words struct {
	Tag       string
	tag       language.Tag
	messages  map[string]text
	templates func() (*template.Template, error) // copied when the first page is shown in it
	numbers   *message.Printer
}

// text is a message: one form, or several by plural category.
type text struct {
	forms map[plural.Form]string
}

// pluralForms are the names of the categories in message files, those of Unicode's CLDR.
var pluralForms = map[string]plural.Form{
	"zero": plural.Zero, "one": plural.One, "two": plural.Two, "few": plural.Few, "many": plural.Many, "other": plural.Other,
}

// UnmarshalJSON reads a text, or an object of forms.
func (t *text) UnmarshalJSON(value []byte) error {
	if jsontext.Value(value).Kind() == '"' {
		var only string
		if err := json.Unmarshal(value, &only); err != nil {
			return err
		}
		t.forms = map[plural.Form]string{plural.Other: only}
		return nil
	}
	var forms map[string]string
	if err := json.Unmarshal(value, &forms); err != nil {
		return err
	}
	t.forms = make(map[plural.Form]string, len(forms))
	for name, form := range forms {
		category, ok := pluralForms[name]
		if !ok {
			return fmt.Errorf("there is no plural form %q", name)
		}
		t.forms[category] = form
	}
	if _, ok := t.forms[plural.Other]; !ok {
		return fmt.Errorf("a text without the form other")
	}
	return nil
}

// everyLanguage is what the message files say, read once. The words have no templates yet.
var everyLanguage = sync.OnceValues(func() (languages []words, err error) {
	for _, name := range tags {
		w, err := readWords(name)
		if err != nil {
			return nil, err
		}
		languages = append(languages, *w)
	}
	return languages, nil
})

func newSpeech(c *Console) (*speech, error) {
	languages, err := everyLanguage()
	if err != nil {
		return nil, err
	}
	parsed, err := parsedTemplates()
	if err != nil {
		return nil, err
	}
	s := new(speech)
	var known []language.Tag
	for _, w := range languages {
		w.templates = sync.OnceValues(func() (*template.Template, error) {
			t, err := parsed.Clone()
			if err != nil {
				return nil, fmt.Errorf("copy templates: %w", err)
			}
			return t.Funcs(templateFunctions(c, &w)), nil
		})
		s.languages = append(s.languages, &w)
		known = append(known, w.tag)
	}
	s.matcher = language.NewMatcher(known)
	return s, nil
}

func readWords(name string) (*words, error) {
	tag, err := language.Parse(name)
	if err != nil {
		return nil, fmt.Errorf("language %s: %w", name, err)
	}
	w := &words{Tag: name, tag: tag, messages: make(map[string]text), numbers: message.NewPrinter(tag)}
	folder := path.Join("messages", name)
	files, err := fs.ReadDir(messageFiles, folder)
	if err != nil {
		return nil, fmt.Errorf("messages of %s: %w", name, err)
	}
	for _, file := range files {
		content, err := messageFiles.ReadFile(path.Join(folder, file.Name()))
		if err != nil {
			return nil, fmt.Errorf("messages of %s: %w", name, err)
		}
		var read map[string]text
		if err := json.Unmarshal(content, &read); err != nil {
			return nil, fmt.Errorf("messages %s of %s: %w", file.Name(), name, err)
		}
		for key, t := range read {
			if _, taken := w.messages[key]; taken {
				return nil, fmt.Errorf("messages %s of %s: %s stands in another file, too", file.Name(), name, key)
			}
			w.messages[key] = t
		}
	}
	return w, nil
}

// choose gives the language that a cookie names, else the one that the browser likes best.
func (s *speech) choose(cookie, accepted string) *words {
	if i := slices.Index(tags, cookie); i >= 0 {
		return s.languages[i]
	}
	wanted, _, err := language.ParseAcceptLanguage(accepted)
	if err != nil || len(wanted) == 0 {
		return s.languages[0]
	}
	_, at, confidence := s.matcher.Match(wanted...)
	if confidence == language.No {
		return s.languages[0]
	}
	return s.languages[at]
}

func (w *words) has(key string) bool {
	_, ok := w.messages[key]
	return ok
}

var placeholder = regexp.MustCompile(`\{(\w+)\}`)

// T is the message of a key, its placeholders filled from pairs of name and value. The value named count chooses the plural form. A key
// without a message is an error of ours, and shows as what it is.
func (w *words) T(key string, pairs ...any) string {
	t, ok := w.messages[key]
	if !ok {
		return "⟦" + key + "⟧"
	}
	values := make(map[string]string, len(pairs)/2)
	form := plural.Other
	for i := 0; i+1 < len(pairs); i += 2 {
		name, _ := pairs[i].(string)
		if n, isNumber := wholeNumber(pairs[i+1]); isNumber {
			values[name] = w.Number(n)
			if name == "count" {
				form = plural.Cardinal.MatchPlural(w.tag, int(n), 0, 0, 0, 0)
			}
			continue
		}
		values[name] = fmt.Sprint(pairs[i+1])
	}
	chosen, ok := t.forms[form]
	if !ok {
		chosen = t.forms[plural.Other]
	}
	return placeholder.ReplaceAllStringFunc(chosen, func(found string) string {
		if value, given := values[found[1:len(found)-1]]; given {
			return value
		}
		return found
	})
}

// Or is the message of a key, or another text where there is none: for codes that may grow.
func (w *words) Or(key, otherwise string) string {
	if !w.has(key) {
		return otherwise
	}
	return w.T(key)
}

func wholeNumber(value any) (int64, bool) {
	switch n := value.(type) {
	case int:
		return int64(n), true
	case int64:
		return n, true
	}
	return 0, false
}

// Number spells a number as the language groups digits.
func (w *words) Number(n int64) string { return w.numbers.Sprint(n) }

func (w *words) anyNumber(value any) (string, error) {
	n, ok := wholeNumber(value)
	if !ok {
		return "", fmt.Errorf("%v is no whole number", value)
	}
	return w.Number(n), nil
}

// Percent spells a share of one in whole percent; what is not quite all is never said to be all, nor what is something nothing.
func (w *words) Percent(share float64) string {
	percent := int64(share*100 + 0.5)
	switch {
	case share < 1 && percent == 100:
		percent = 99
	case share > 0 && percent == 0:
		percent = 1
	}
	return w.T("format.percent", "value", percent)
}

// Duration spells a time in the unit that fits: 12 ms, 3.4 s, 5 min.
func (w *words) Duration(took time.Duration) string {
	switch {
	case took < 10*time.Millisecond:
		return w.T("format.milliseconds", "value", w.numbers.Sprintf("%.1f", float64(took.Microseconds())/1000))
	case took < time.Second:
		return w.T("format.milliseconds", "value", took.Milliseconds())
	case took < time.Minute:
		return w.T("format.seconds", "value", w.numbers.Sprintf("%.1f", took.Seconds()))
	}
	return w.T("format.minutes", "value", int64(took.Round(time.Minute)/time.Minute))
}

// Ago spells how long ago a moment was, in the largest unit. A page's script spells it again as time goes on.
func (w *words) Ago(at, now time.Time) string {
	past := now.Sub(at)
	key := "format.ago."
	if past < 0 {
		past, key = -past, "format.in."
	}
	switch {
	case past < time.Minute:
		return w.T(key+"seconds", "count", int64(past/time.Second))
	case past < time.Hour:
		return w.T(key+"minutes", "count", int64(past/time.Minute))
	case past < 24*time.Hour:
		return w.T(key+"hours", "count", int64(past/time.Hour))
	}
	return w.T(key+"days", "count", int64(past/(24*time.Hour)))
}

// T is the message of a key in the visitor's language.
func (v *visit) T(key string, pairs ...any) string { return v.words.T(key, pairs...) }

// languageChoice is one language of the switch.
type languageChoice struct {
	Tag, Name string
	Chosen    bool
}

// Languages are those of the switch, each by its own name.
func (v *visit) Languages() []languageChoice {
	list := make([]languageChoice, len(tags))
	for i, w := range v.console.speech.languages {
		list[i] = languageChoice{Tag: w.Tag, Name: w.T("language"), Chosen: w == v.words}
	}
	return list
}
