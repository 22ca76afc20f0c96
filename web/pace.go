package web

import (
	"io"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// Time limits of a connection and of a request on it. A client that keeps none of them is cut off.
const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	// readTimeout bounds the arrival of a request with its body, and paceTime is what each paceStep bytes of body add to it: whoever drips
	// is cut off after a minute, whoever sends 8 MiB over a slow line has five.
	readTimeout = 60 * time.Second
	paceTime    = 8 * time.Second
	paceStep    = 256 << 10
	// writeTimeout bounds the handling of a request and the sending of its answer, from the end of its headers; a long body moves it on, too.
	writeTimeout = 2 * time.Minute
)

// Bounds of what a connection may ask for.
const (
	maxHeaderBytes = 32 << 10
	// maxStreams is how many requests one HTTP/2 connection may have under way.
	maxStreams = 100
	// writeStall is how long an HTTP/2 connection may take nothing of what is sent.
	writeStall = 30 * time.Second
)

// pace gives a request the time that its body needs. Short bodies of a known length, which is nearly all of them, have what every request has.
func pace(c echo.Context) {
	request := c.Request()
	if 0 <= request.ContentLength && request.ContentLength < paceStep {
		return
	}
	// A copy: the server looks at the body of its own request to see whether it was left unread, and then lets the client read the answer
	// before it hangs up.
	paced := request.WithContext(request.Context())
	paced.Body = &pacedBody{
		ReadCloser: request.Body, control: http.NewResponseController(c.Response()), began: time.Now(), next: paceStep,
	}
	c.SetRequest(paced)
}

// pacedBody is the body of a request whose time limits move on as it arrives.
type pacedBody struct {
	io.ReadCloser

	control *http.ResponseController
	began   time.Time
	read    int64
	next    int64 // how much must have been read for more time
}

// Read implements io.Reader.
func (p *pacedBody) Read(to []byte) (int, error) {
	n, err := p.ReadCloser.Read(to)
	p.read += int64(n)
	if p.read >= p.next {
		p.next = p.read + paceStep
		end := p.began.Add(readTimeout + time.Duration(p.read/paceStep)*paceTime)
		// Where there is no connection, nothing has to be limited.
		_ = p.control.SetReadDeadline(end)
		_ = p.control.SetWriteDeadline(end.Add(writeTimeout))
	}
	return n, err
}
