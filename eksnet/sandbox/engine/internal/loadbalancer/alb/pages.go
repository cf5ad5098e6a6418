package alb

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// serverName is what an Application Load Balancer calls itself in answers of its own.
const serverName = "awselb/2.0"

// Statuses that only load balancers have.
const (
	statusClientClosed      = 460
	statusTooManyForwarded  = 463
	statusIncompatibleProto = 464
)

// reasons are the ones that differ from those of net/http.
var reasons = map[int]string{
	http.StatusServiceUnavailable: "Service Temporarily Unavailable",
	http.StatusGatewayTimeout:     "Gateway Time-out",
	http.StatusRequestTimeout:     "Request Time-out",
	http.StatusMethodNotAllowed:   "Not Allowed",
	http.StatusFound:              "Found",
}

// page is the body of an answer of the load balancer's own.
func page(status int) string {
	reason, found := reasons[status]
	if !found {
		reason = http.StatusText(status)
	}
	title := fmt.Sprintf("%d %s", status, reason)
	if reason == "" {
		title = strconv.Itoa(status)
	}
	return "<html>\r\n<head><title>" + title + "</title></head>\r\n<body>\r\n<center><h1>" + title +
		"</h1></center>\r\n</body>\r\n</html>\r\n"
}

// write sends an answer of the load balancer's own.
func (s *settings) write(w http.ResponseWriter, status int, contentType, body string) {
	header := w.Header()
	header.Set("Server", serverName)
	header.Set("Content-Type", contentType)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	s.modifyHeader(header)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// connection is a client's connection. It gives up on a client that takes nothing any more, and where
// net/http answers by itself, which it does to what is no request, it sends the load balancer's page.
//
// It embeds the interface alone: a method ReadFrom would write past Write.
type connection struct {
	net.Conn
	idle time.Duration
	// plain tells that what is written is HTTP, and not TLS.
	plain bool
}

// Write sends what net/http has to say.
func (c *connection) Write(data []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.idle)); err != nil {
		return 0, err
	}
	if status := ownStatus(data); c.plain && status != 0 {
		_, err := c.Conn.Write(rawAnswer(status))
		return len(data), err
	}
	return c.Conn.Write(data)
}

// CloseWrite ends what is sent, so that a client that still sends reads the answer to the end.
func (c *connection) CloseWrite() error { return c.Conn.(*net.TCPConn).CloseWrite() }

// What an answer of net/http's own looks like: only these have neither a date nor a length.
var (
	statusLine  = []byte("HTTP/1.1 ")
	ownHeaders  = []byte("\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n")
	statusStart = len(statusLine)
	statusEnd   = statusStart + 3
)

func ownStatus(data []byte) int {
	if !bytes.HasPrefix(data, statusLine) || len(data) < statusEnd {
		return 0
	}
	end := bytes.IndexByte(data, '\r')
	if end < 0 || !bytes.HasPrefix(data[end:], ownHeaders) {
		return 0
	}
	status, _ := strconv.Atoi(string(data[statusStart:statusEnd]))
	if status == http.StatusRequestHeaderFieldsTooLarge {
		return http.StatusBadRequest // as documented
	}
	return status
}

func rawAnswer(status int) []byte {
	body := page(status)
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nServer: %s\r\nDate: %s\r\nContent-Type: text/html\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		status, http.StatusText(status), serverName, time.Now().UTC().Format(http.TimeFormat), len(body), body)
}
