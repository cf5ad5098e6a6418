package alb

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"eksnet.dev/engine/internal/loadbalancer/rules"
	"eksnet.dev/engine/internal/loadbalancer/targets"
)

// Why the load balancer itself gives a request up.
var (
	errIdle     = errors.New("nothing was sent before the idle timeout")
	errStopping = errors.New("the load balancer ends")
)

// exchange is one request on its way to a target, and the answer on its way back.
type exchange struct {
	settings *settings
	rule     *rules.Rule
	target   *targets.Target
	node     targets.Node
	writer   http.ResponseWriter
	cookies  []*http.Cookie

	cancel context.CancelCauseFunc
	idle   *time.Timer
	// upload is why the client's body could not be read.
	upload atomic.Pointer[error]
	// transform is why the request could not be rewritten.
	transform error
}

type exchangeKey struct{}

func exchangeOf(request *http.Request) *exchange {
	return request.Context().Value(exchangeKey{}).(*exchange)
}

// forward sends the request to the exchange's target, and the answer to the client.
func (e *exchange) forward(w http.ResponseWriter, r *http.Request) {
	defer e.target.Begin()()
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	e.writer, e.cancel = w, cancel
	e.idle = time.AfterFunc(e.settings.idle, func() { cancel(errIdle) })
	defer e.idle.Stop()
	stop := context.AfterFunc(e.target.Context, func() { cancel(context.Cause(e.target.Context)) })
	defer stop()
	r = r.WithContext(context.WithValue(ctx, exchangeKey{}, e))
	if r.ContentLength != 0 {
		r.Body = &upload{r.Body, e, http.NewResponseController(w)}
	}
	// Else net/http guesses what a target did not say.
	w.Header()["Content-Type"] = nil
	defer flushBeforeAbort(w)
	proxy.ServeHTTP(w, r)
}

// flushBeforeAbort sends what there is of an answer that cannot be sent whole, before httputil's panic
// ends the connection.
func flushBeforeAbort(w http.ResponseWriter) {
	if aborted := recover(); aborted != nil {
		_ = http.NewResponseController(w).Flush()
		panic(aborted)
	}
}

// touch begins the idle timeout anew: something was sent.
func (e *exchange) touch() { e.idle.Reset(e.settings.idle) }

// proxy forwards all requests; what differs between them is in their exchanges.
var proxy = &httputil.ReverseProxy{
	Rewrite:        func(r *httputil.ProxyRequest) { exchangeOf(r.In).rewrite(r) },
	Transport:      roundTripper{},
	ModifyResponse: modifyResponse,
	ErrorHandler:   func(w http.ResponseWriter, r *http.Request, err error) { exchangeOf(r).fail(w, r, err) },
	FlushInterval:  flushing,
	BufferPool:     buffers{},
}

// flushing is how long a piece of an answer waits for more. Answers of unknown length do not wait.
const flushing = 20 * time.Millisecond

type roundTripper struct{}

func (roundTripper) RoundTrip(request *http.Request) (*http.Response, error) {
	e := exchangeOf(request)
	if e.transform != nil {
		return nil, e.transform
	}
	return e.target.Transport(e.node.Address).RoundTrip(request)
}

func modifyResponse(response *http.Response) error {
	e := exchangeOf(response.Request)
	e.touch()
	e.settings.modifyHeader(response.Header)
	for _, cookie := range e.cookies {
		response.Header.Add("Set-Cookie", cookie.String())
	}
	if both, ok := response.Body.(io.ReadWriteCloser); ok && response.StatusCode == http.StatusSwitchingProtocols {
		response.Body = &upgraded{both, e}
	} else {
		response.Body = &download{response.Body, e}
	}
	return nil
}

// fail answers a request that got no answer from its target.
func (e *exchange) fail(w http.ResponseWriter, r *http.Request, err error) {
	status := e.status(r, err)
	if cause := context.Cause(r.Context()); cause != nil {
		err = cause
	}
	if e.upload.Load() != nil {
		w.Header().Set("Connection", "close") // the rest of the body may come yet
	}
	// A client that has gone gets no answer; AWS writes 460 into its access log.
	e.settings.answer(w, r, status, "target "+e.target.HostPort()+": "+err.Error())
}

// status tells what a failure is for the client, as AWS documents it.
func (e *exchange) status(r *http.Request, err error) int {
	cause := context.Cause(r.Context())
	switch {
	case e.transform != nil:
		return http.StatusInternalServerError
	case errors.Is(cause, errIdle):
		return http.StatusGatewayTimeout
	case errors.Is(cause, targets.ErrDeregistered):
		return http.StatusBadGateway
	case errors.Is(cause, errStopping):
		return http.StatusServiceUnavailable
	case e.upload.Load() != nil && errors.Is(*e.upload.Load(), os.ErrDeadlineExceeded):
		return http.StatusRequestTimeout
	case e.upload.Load() != nil:
		return http.StatusBadRequest
	case cause != nil:
		return statusClientClosed
	case connectTimedOut(err):
		return http.StatusGatewayTimeout
	default:
		return http.StatusBadGateway
	}
}

// connectTimedOut tells a target that does not answer a connection attempt from one that refuses it.
// A TLS handshake that takes too long is no such timeout.
func connectTimedOut(err error) bool {
	var operation *net.OpError
	return errors.As(err, &operation) && operation.Op == "dial" && operation.Timeout()
}

// upload is the client's body. Waiting for the client is not the target's fault: meanwhile only the
// client's own timeout counts.
type upload struct {
	io.ReadCloser
	exchange *exchange
	client   *http.ResponseController
}

func (u *upload) Read(buffer []byte) (int, error) {
	e := u.exchange
	e.idle.Stop()
	_ = u.client.SetReadDeadline(time.Now().Add(e.settings.idle))
	size, err := u.ReadCloser.Read(buffer)
	if err == io.EOF {
		// What net/http reads next is no longer the body.
		_ = u.client.SetReadDeadline(time.Time{})
	} else if err != nil {
		e.upload.Store(&err)
	}
	e.touch()
	return size, err
}

// download is a target's body.
type download struct {
	io.ReadCloser
	exchange *exchange
}

func (d *download) Read(buffer []byte) (int, error) {
	size, err := d.ReadCloser.Read(buffer)
	if size > 0 {
		d.exchange.touch()
	}
	return size, err
}

// upgraded is a connection to a target that speaks another protocol now, such as WebSocket.
type upgraded struct {
	io.ReadWriteCloser
	exchange *exchange
}

func (u *upgraded) Read(buffer []byte) (int, error) {
	size, err := u.ReadWriteCloser.Read(buffer)
	if size > 0 {
		u.exchange.touch()
	}
	return size, err
}

func (u *upgraded) Write(data []byte) (int, error) {
	u.exchange.touch()
	return u.ReadWriteCloser.Write(data)
}

// buffers are what bodies are copied through.
type buffers struct{}

var pool = sync.Pool{New: func() any { return new([bufferSize]byte) }}

const bufferSize = 32 << 10

func (buffers) Get() []byte { return pool.Get().(*[bufferSize]byte)[:] }

func (buffers) Put(buffer []byte) { pool.Put((*[bufferSize]byte)(buffer)) }
