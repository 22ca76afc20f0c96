package web_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// contract is the specification, ready to be held against requests and answers.
type contract struct {
	doc    *openapi3.T
	router routers.Router
}

// loadContract reads the specification once for all tests. Its schemas are closed: what an answer holds and the specification does not
// name is an error here, while clients are told to pass over it.
var loadContract = sync.OnceValues(func() (*contract, error) {
	raw, err := os.ReadFile("openapi.yaml")
	if err != nil {
		return nil, err
	}
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		return nil, err
	}
	if err := doc.Validate(context.Background()); err != nil {
		return nil, err
	}
	// A body may be anything where headers say that it is an event's data; check leaves those out, and no other event may be as free.
	event := doc.Paths.Value("/events").Post.RequestBody.Value.Content["application/json"].Schema.Value
	event.AnyOf = slices.DeleteFunc(event.AnyOf, func(s *openapi3.SchemaRef) bool { return strings.HasSuffix(s.Ref, "/CloudEventData") })
	closing := closer{}
	for _, ref := range doc.Components.Schemas {
		closing.close(ref)
	}
	for _, item := range doc.Paths.Map() {
		for _, operation := range item.Operations() {
			if operation.RequestBody != nil {
				for _, content := range operation.RequestBody.Value.Content {
					closing.close(content.Schema)
				}
			}
			for _, response := range operation.Responses.Map() {
				for _, content := range response.Value.Content {
					closing.close(content.Schema)
				}
			}
		}
	}
	openapi3filter.RegisterBodyDecoder("text/html", openapi3filter.PlainBodyDecoder)
	openapi3filter.RegisterBodyDecoder("application/vnd.sqlite3", openapi3filter.FileBodyDecoder)
	openapi3filter.RegisterBodyDecoder("application/x-ndjson", openapi3filter.PlainBodyDecoder)
	openapi3filter.RegisterBodyDecoder("text/event-stream", openapi3filter.PlainBodyDecoder)
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		return nil, err
	}
	return &contract{doc, router}, nil
})

// closer forbids every object the members that its schema does not name, unless the schema says which others there may be.
type closer map[*openapi3.Schema]bool

func (c closer) close(ref *openapi3.SchemaRef) {
	if ref == nil || c[ref.Value] {
		return
	}
	schema := ref.Value
	c[schema] = true
	parts := slices.Concat(schema.AllOf, schema.AnyOf, schema.OneOf, slices.Collect(maps.Values(schema.Properties)))
	for _, part := range append(parts, schema.Items) {
		c.close(part)
	}
	// The parts of an object are closed by now, and would forbid each other: the object takes over what they say.
	for _, part := range schema.AllOf {
		if schema.Properties == nil {
			schema.Properties = openapi3.Schemas{}
		}
		maps.Copy(schema.Properties, part.Value.Properties)
		schema.Required = append(schema.Required, part.Value.Required...)
		schema.Type = part.Value.Type
	}
	schema.AllOf = nil
	if len(schema.Properties) > 0 && schema.AdditionalProperties.Has == nil && schema.AdditionalProperties.Schema == nil {
		schema.AdditionalProperties.Has = new(bool)
	}
}

// anywhere are the statuses of the answer "default": those that any request can end with.
var anywhere = []int{http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusServiceUnavailable}

// specified wraps a server: what it answers under /api, and what it accepts there, is held to the specification.
func specified(tb testing.TB, server http.Handler) http.Handler {
	tb.Helper()
	c, err := loadContract()
	if err != nil {
		tb.Fatal(err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var sent bytes.Buffer
		read := *r // a copy: net/http looks at the body of its own request once more
		read.Body = struct {
			io.Reader
			io.Closer
		}{io.TeeReader(r.Body, &sent), r.Body}
		x := &exchange{ResponseWriter: w, status: http.StatusOK}
		server.ServeHTTP(x, &read)
		if err := c.check(r, sent.Bytes(), x); err != nil {
			tb.Errorf("%s %s is not as specified: %v\n%d %s", r.Method, r.URL, err, x.status, &x.body)
		}
	})
}

// exchange is an answer, kept while it goes out.
type exchange struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (x *exchange) WriteHeader(status int) {
	x.status = status
	x.ResponseWriter.WriteHeader(status)
}

// Unwrap lets the server set deadlines and flush.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

func (x *exchange) Write(p []byte) (int, error) {
	x.body.Write(p)
	return x.ResponseWriter.Write(p)
}

// asked is what counts of a query: the first value of each parameter, unless it is empty.
func asked(query url.Values) url.Values {
	for name, values := range query {
		query[name] = values[:1]
		if values[0] == "" {
			delete(query, name)
		}
	}
	return query
}

func (c *contract) check(r *http.Request, sent []byte, x *exchange) error {
	path := r.URL.Path
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	at := strings.Index(path, "/api/")
	if at < 0 || r.Method == http.MethodHead {
		return nil
	}
	r = r.Clone(context.Background())
	r.URL = &url.URL{Path: path[at:], RawQuery: asked(r.URL.Query()).Encode()}
	r.Body = io.NopCloser(bytes.NewReader(sent))
	options := &openapi3filter.Options{
		AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true, SkipSettingDefaults: true,
		ExcludeRequestBody: r.Header.Get("Ce-Specversion") != "", // then the body is data, and may be any JSON
	}
	route, params, err := c.router.FindRoute(r)
	if err != nil {
		if x.status != http.StatusNotFound && x.status != http.StatusMethodNotAllowed {
			return fmt.Errorf("%s: %w", r.URL.Path, err)
		}
		// What no route takes is refused in the shape of every refusal.
		route = &routers.Route{Spec: c.doc, Operation: &openapi3.Operation{Responses: openapi3.NewResponses(
			openapi3.WithStatus(x.status, c.doc.Components.Responses["Fault"]),
		)}}
	}
	input := &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route, Options: options}
	if x.status < http.StatusMultipleChoices {
		if err := openapi3filter.ValidateRequest(r.Context(), input); err != nil {
			return fmt.Errorf("it was accepted: %w", err)
		}
	}
	answer := route.Operation.Responses.Status(x.status)
	if route.Operation.OperationID != "" {
		coverage.answered(route.Operation, x)
	}
	switch {
	case answer == nil && !slices.Contains(anywhere, x.status):
		return errors.New("the status is not listed")
	case answer != nil && len(answer.Value.Content) == 0 && x.body.Len() > 0:
		return errors.New("the answer has a body")
	}
	return openapi3filter.ValidateResponse(r.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: x.status, Header: x.Header(), Body: io.NopCloser(bytes.NewReader(x.body.Bytes())), Options: options,
	})
}
