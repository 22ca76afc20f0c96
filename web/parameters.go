package web

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/labstack/echo/v4"

	"portalhook/triggers"
)

// parameters are those of a request on an ArcGIS surface: of its body first, then of its address. Blanks around names do not count, as
// the portal's own documentation prints some with one behind them.
type parameters struct {
	body, query url.Values
}

// readParameters reads the address and, of a POST, the body: a form, encoded in either of the two ways that forms have.
func readParameters(r *http.Request) (*parameters, error) {
	query, err := parameterValues(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	p := &parameters{query: query}
	if r.Method != http.MethodPost || r.ContentLength == 0 {
		return p, nil
	}
	buf, err := readBody(r, maxManagementBody, nil)
	if err != nil {
		return nil, err
	}
	text := string(*buf)
	recycle(buf)
	if text == "" {
		return p, nil
	}
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case err == nil && kind == "application/x-www-form-urlencoded":
		p.body, err = parameterValues(text)
	case err == nil && kind == "multipart/form-data":
		p.body, err = multipartValues(text, params["boundary"])
	default:
		return nil, fault(triggers.CodeMediaType, "the content type must be application/x-www-form-urlencoded or multipart/form-data")
	}
	return p, err
}

func parameterValues(text string) (url.Values, error) {
	values, err := url.ParseQuery(text)
	if err != nil {
		return nil, &problem{Code: codeBadBody, Index: -1, Detail: "the parameters are not encoded as those of a form are", cause: err}
	}
	return trimmedNames(values)
}

// trimmedNames takes the blanks around names away, and refuses what no text may hold.
func trimmedNames(values url.Values) (url.Values, error) {
	trimmed := make(url.Values, len(values))
	for name, list := range values {
		name = strings.TrimSpace(name)
		trimmed[name] = append(trimmed[name], list...)
	}
	return trimmed, checkValues(trimmed)
}

// checkValues refuses values that hold what no text may hold; of the names only those that we know are looked at.
func checkValues(values url.Values) error {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		for _, value := range values[name] {
			if err := triggers.CheckText(strings.ToValidUTF8(name, "\uFFFD"), value); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkAddress refuses an address that holds what no text may hold: nothing has such a name.
func checkAddress(c echo.Context) error {
	if triggers.CheckText("", c.Request().URL.Path) != nil {
		return fault(codeNotFound, "the address holds the character U+0000, or is not UTF-8: there is nothing that is named so")
	}
	if c.Request().URL.RawQuery == "" {
		return nil
	}
	return checkValues(c.QueryParams())
}

// multipartValues reads the fields of a form that browsers send with files. There are no files here.
func multipartValues(text, boundary string) (url.Values, error) {
	values := url.Values{}
	reader := multipart.NewReader(strings.NewReader(text), boundary)
	for {
		part, err := reader.NextRawPart()
		if errors.Is(err, io.EOF) {
			return trimmedNames(values)
		}
		var value bytes.Buffer
		if err == nil {
			_, err = value.ReadFrom(part)
		}
		switch {
		case err != nil:
			return nil, &problem{Code: codeBadBody, Index: -1, Detail: "the body is not the form that its content type says", cause: err}
		case part.FileName() != "":
			return nil, triggers.Invalid(triggers.CodeNotAllowed, part.FormName(), "files are not taken here; send a field")
		}
		values.Add(part.FormName(), value.String())
	}
}

// all are the values of a parameter, in order: those of the body, else those of the address.
func (p *parameters) all(name string) []string {
	if list, ok := p.body[name]; ok {
		return list
	}
	return p.query[name]
}

// nulls are how clients write a value that they do not have: JSON's word, and Python's, which forms of older clients hold.
var nulls = []string{"null", "None"}

// get is a parameter, and whether it is given: one that a client wrote for want of a value is not. Given several times, it must be the
// same each time.
func (p *parameters) get(name string) (value string, given bool, err error) {
	for _, other := range p.all(name) {
		if given && other != value {
			return "", false, triggers.Invalid(triggers.CodeDuplicateKey, name, "%s is given twice, and not the same", name)
		}
		value, given = other, true
	}
	if slices.Contains(nulls, value) {
		return "", false, nil
	}
	return value, given, nil
}

// whole reads a whole number into to; a parameter that is not given, or empty, leaves it as it is.
func (p *parameters) whole(name string, to *int) error {
	text, _, err := p.get(name)
	if err != nil || text == "" {
		return err
	}
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 32)
	if err != nil {
		return triggers.Invalid(triggers.CodeWrongType, name, "%s must be a whole number", name)
	}
	*to = int(n)
	return nil
}

// flag reads true or false, in any case, into to; a parameter that is not given, or empty, leaves it as it is.
func (p *parameters) flag(name string, to *bool) error {
	text, _, err := p.get(name)
	if err != nil || text == "" {
		return err
	}
	switch {
	case strings.EqualFold(text, "true"):
		*to = true
	case strings.EqualFold(text, "false"):
		*to = false
	default:
		return triggers.Invalid(triggers.CodeWrongType, name, "%s must be true or false", name)
	}
	return nil
}

// json is the JSON that a parameter holds; nil when it is not given, or empty.
func (p *parameters) json(name string) (jsontext.Value, error) {
	text, _, err := p.get(name)
	if err != nil || strings.TrimSpace(text) == "" {
		return nil, err
	}
	if err := checkJSON(jsontext.Value(text)); err != nil {
		broken := problemOf(err)
		broken.Field = strings.TrimSuffix(name+"."+broken.Field, ".")
		return nil, broken
	}
	return jsontext.Value(text), nil
}

// Bounds of a page on the ArcGIS surfaces, in rows.
const (
	defaultPageSize = 25
	maxPageSize     = 100
)

// span is a page by its position: start counts from 1.
type span struct{ start, num int }

// page reads start and num. More rows than there may be are not refused: clients ask for as many as they can think of.
func (p *parameters) page() (span, error) {
	page := span{1, defaultPageSize}
	if err := errors.Join(p.whole("start", &page.start), p.whole("num", &page.num)); err != nil {
		return page, err
	}
	switch {
	case page.start < 1:
		return page, triggers.Invalid(triggers.CodeOutOfRange, "start", "start is from 1 up, not %d", page.start)
	case page.num < 1:
		return page, triggers.Invalid(triggers.CodeOutOfRange, "num", "num is from 1 to %d, not %d", maxPageSize, page.num)
	}
	page.num = min(page.num, maxPageSize)
	return page, nil
}

// bounds are the page's part of all rows.
func (s span) bounds(total int) (from, to int) {
	from = min(s.start-1, total)
	return from, min(from+s.num, total)
}

// write tells where a page stands; nextStart is -1 on the last one.
func (s span) write(o *object, total int) {
	next := -1
	if _, to := s.bounds(total); to < total {
		next = to + 1
	}
	o.number("total", int64(total))
	o.number("start", int64(s.start))
	o.number("num", int64(s.num))
	o.number("nextStart", int64(next))
}
