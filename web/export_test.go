package web

import (
	"net/http"
	"time"
)

// Route is a row of the list of everything that is served, for the tests that go through it.
type Route struct {
	Method, Path string
	Public       bool
	Roles        []string
}

// Routes are all rows, in order.
func (s *Server) Routes() []Route {
	var list []Route
	for _, r := range s.routes() {
		row := Route{Method: r.method, Path: r.path, Public: r.allowed&anyone != 0}
		for _, role := range []struct {
			bit  roles
			name string
		}{{admin, "admin"}, {user, "user"}, {emitter, "emitter"}, {viewer, "viewer"}, {operator, "operator"}} {
			if r.allowed&role.bit != 0 {
				row.Roles = append(row.Roles, role.name)
			}
		}
		list = append(list, row)
	}
	return list
}

// Kinds gives every code of an error with its status.
func Kinds() map[string]int {
	statuses := make(map[string]int, len(kinds))
	for code, k := range kinds {
		statuses[code] = k.status
	}
	return statuses
}

// Authenticate is what every request with a key pays.
func (s *Server) Authenticate(r *http.Request) error {
	_, err := s.authenticate(r, admin)
	return err
}

// FromHTTP reads a CloudEvent in the binary mode.
var FromHTTP = fromHTTP

// SetBeat says how often the tail shows signs of life.
func (s *Server) SetBeat(every time.Duration) { s.beat = every }
