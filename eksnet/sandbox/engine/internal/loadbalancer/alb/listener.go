// Package alb is an Application Load Balancer: it listens, decides by rules, and forwards.
package alb

import (
	"context"
	"crypto/tls"
	"errors"
	"log"
	"maps"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"eksnet.dev/engine/internal/loadbalancer/desired"
	"eksnet.dev/engine/internal/loadbalancer/targets"
)

// maxHeader is the limit of a request's line and header together.
const maxHeader = 64 << 10

// listener is a listener of a load balancer. What it does can change while it listens.
type listener struct {
	registry *targets.Registry
	settings atomic.Pointer[settings]
	server   atomic.Pointer[server]
	closed   atomic.Bool
	// sockets are the open ones, by address and port. Only the balancer's owner touches them.
	sockets map[string]net.Listener
	// retired are the servers before that one. They keep the connections that they were handed.
	retired []*server
	ending  sync.WaitGroup
}

func newListener(registry *targets.Registry) *listener {
	return &listener{registry: registry, sockets: map[string]net.Listener{}}
}

// apply makes the listener what is desired. What cannot be done leaves everything else as it was.
func (l *listener) apply(balancer desired.LoadBalancer, given desired.Listener) error {
	s, err := newSettings(balancer, given)
	if err != nil {
		return err
	}
	old := l.settings.Swap(s)
	if old == nil || old.serverKey() != s.serverKey() {
		l.serveWith(newServer(l, s))
	}
	return l.listen(balancer, given.Port)
}

// serveWith hands new connections to another server. The one before ends none of its own: clients
// would meet the end of a connection just when they send the next request.
func (l *listener) serveWith(next *server) {
	if before := l.server.Swap(next); before != nil {
		before.Close()
		l.retired = append(l.retired, before)
	}
}

// listen opens the sockets that are missing, and closes those that are not wanted any more.
func (l *listener) listen(balancer desired.LoadBalancer, port int) error {
	wanted := map[string]bool{}
	var failures []error
	for _, zone := range balancer.Zones {
		for _, address := range zone.Addresses() {
			place := net.JoinHostPort(address, strconv.Itoa(port))
			wanted[place] = true
			if l.sockets[place] != nil {
				continue
			}
			socket, err := net.Listen("tcp", place)
			if err != nil {
				failures = append(failures, err)
				continue
			}
			l.sockets[place] = socket
			go l.accept(socket)
		}
	}
	maps.DeleteFunc(l.sockets, func(place string, socket net.Listener) bool {
		if !wanted[place] {
			socket.Close()
		}
		return !wanted[place]
	})
	return errors.Join(failures...)
}

// accept hands each new connection to the server of the moment.
func (l *listener) accept(socket net.Listener) {
	for {
		accepted, err := socket.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			log.Printf("accept on %s: %v", socket.Addr(), err)
			time.Sleep(pause)
			continue
		}
		for !l.server.Load().take(accepted) {
			if l.closed.Load() {
				accepted.Close()
				break
			}
		}
	}
}

// pause is how long a listener waits when there is no room for another connection.
const pause = 10 * time.Millisecond

// close stops listening at once; requests in flight get the time that is given.
func (l *listener) close(bound time.Duration) {
	for _, socket := range l.sockets {
		socket.Close()
	}
	clear(l.sockets)
	l.closed.Store(true)
	for _, one := range append(l.retired, l.server.Load()) {
		l.ending.Go(func() { one.end(bound) })
	}
}

// lastRequests is what requests get to end in whose listener is gone.
const lastRequests = 30 * time.Second

// server is an http.Server that is handed connections, so that another one can take over without a
// moment in which nobody listens.
type server struct {
	http   *http.Server
	idle   time.Duration
	plain  bool
	queue  chan net.Conn
	closed chan struct{}
	once   sync.Once
	cancel context.CancelCauseFunc
}

func newServer(l *listener, s *settings) *server {
	base, cancel := context.WithCancelCause(context.Background())
	made := &server{
		idle: s.idle, plain: s.protocol != secure, cancel: cancel,
		queue: make(chan net.Conn), closed: make(chan struct{}),
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(!made.plain)
	made.http = &http.Server{
		Handler:           l,
		ReadHeaderTimeout: s.idle,
		IdleTimeout:       s.idle,
		MaxHeaderBytes:    maxHeader,
		Protocols:         protocols,
		BaseContext:       func(net.Listener) context.Context { return base },
		TLSConfig: &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return l.settings.Load().tls, nil
		}},
	}
	go made.serve()
	return made
}

func (s *server) serve() {
	var err error
	if s.plain {
		err = s.http.Serve(s)
	} else {
		err = s.http.ServeTLS(s, "", "")
	}
	if !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		log.Printf("a listener ended: %v", err)
	}
}

// take hands a connection over. It is false once the server is closed.
func (s *server) take(accepted net.Conn) bool {
	client := &connection{Conn: accepted, idle: s.idle, plain: s.plain}
	select {
	case s.queue <- client:
		return true
	case <-s.closed:
		return false
	}
}

// Accept returns the next connection that was handed over.
func (s *server) Accept() (net.Conn, error) {
	select {
	case client := <-s.queue:
		return client, nil
	case <-s.closed:
		return nil, net.ErrClosed
	}
}

// Close takes no more connections.
func (s *server) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// Addr is a listener's address, which a server that is handed connections has not.
func (s *server) Addr() net.Addr { return &net.TCPAddr{} }

// end lets requests in flight end by themselves within a bound. Those that do not get an error of
// HTTP, as far as their answer has not begun.
func (s *server) end(bound time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	if s.http.Shutdown(ctx) == nil {
		s.cancel(errStopping) // what was upgraded to another protocol is not waited for
		return
	}
	s.cancel(errStopping)
	ctx, cancel = context.WithTimeout(context.Background(), lastWords)
	defer cancel()
	_ = s.http.Shutdown(ctx)
	_ = s.http.Close()
}

// lastWords is what the errors of requests that are given up have to be sent in.
const lastWords = time.Second
