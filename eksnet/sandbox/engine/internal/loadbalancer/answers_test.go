package loadbalancer

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"eksnet.dev/engine/internal/loadbalancer/desired"
	"eksnet.dev/engine/internal/loadbalancer/health"
)

// raw starts a target that does with each connection what it likes. It has no health: its group is
// unhealthy, and fails open.
func (b *bed) raw(handle func(net.Conn)) desired.Target {
	b.Helper()
	socket := b.listenTarget()
	b.Cleanup(func() { socket.Close() })
	go func() {
		for {
			connection, err := socket.Accept()
			if err != nil {
				return
			}
			go handle(connection)
		}
	}()
	return targetAt(socket.Addr())
}

// unchecked puts a target behind the listener that gets requests whatever its health.
func (b *bed) unchecked(target desired.Target) {
	b.Helper()
	b.state.TargetGroups = []desired.TargetGroup{newGroup(target)}
	b.group().HealthCheck.Enabled = false
	b.write()
	b.waitForStatus(target, health.NotChecked)
}

func readRequest(connection net.Conn) {
	_, _ = http.ReadRequest(bufio.NewReader(connection))
}

// What a target does with a request, and what the client gets for it.
func TestMisbehavingTargets(t *testing.T) {
	reply := func(text string) func(net.Conn) {
		return func(connection net.Conn) {
			defer connection.Close()
			readRequest(connection)
			_, _ = io.WriteString(connection, text)
		}
	}
	for name, c := range map[string]struct {
		handle func(net.Conn)
		status int
		length int
	}{
		"resets": {func(connection net.Conn) {
			readRequest(connection)
			_ = connection.(*net.TCPConn).SetLinger(0)
			connection.Close()
		}, 502, 122},
		"closes":               {reply(""), 502, 122},
		"speaks no HTTP":       {reply("SSH-2.0-OpenSSH_9\r\n\r\n"), 502, 122},
		"header is no header":  {reply("HTTP/1.1 200 OK\r\nno colon\r\n\r\n"), 502, 122},
		"half a header":        {reply("HTTP/1.1 200 OK\r\nContent-"), 502, 122},
		"header of over 32 KB": {reply("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 40<<10) + "\r\n\r\n"), 502, 122},
		"says nothing":         {func(connection net.Conn) { readRequest(connection) }, 504, 132},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, toGroup())
			b.balancer().Attributes["idle_timeout.timeout_seconds"] = "1"
			b.unchecked(b.raw(c.handle))
			b.waitForAnswer("/", c.status)
			answered, body := b.get("/")
			expect(t, "status", answered.StatusCode, c.status)
			expect(t, "length", len(body), c.length)
			expect(t, "server", answered.Header.Get("Server"), "awselb/2.0")
			expect(t, "content type", answered.Header.Get("Content-Type"), "text/html")
		})
	}
}

func TestARefusedConnection(t *testing.T) {
	b := newBed(t, toGroup())
	closed := b.listenTarget()
	closed.Close()
	b.unchecked(targetAt(closed.Addr()))
	answered, _ := b.get("/")
	expect(t, "status", answered.StatusCode, 502)
}

// A full queue of connections drops new ones, as a packet filter does.
func TestAConnectionThatNobodyAnswers(t *testing.T) {
	b := newBed(t, toGroup())
	target := b.full()
	b.unchecked(target)
	answered, _ := b.get("/") // the idle timeout is longer than this test waits
	expect(t, "status", answered.StatusCode, 504)
	b.group().HealthCheck.Enabled = true
	b.write()
	b.waitForStatus(target, health.Status{State: health.Unhealthy, Reason: "Target.Timeout", Description: "Request timed out"})
}

// full returns a target whose queue of connections is full.
func (b *bed) full() desired.Target {
	b.Helper()
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { syscall.Close(socket) })
	host := net.ParseIP(newAddress()).To4()
	if err := syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte(host)}); err != nil {
		b.Fatal(err)
	}
	if err := syscall.Listen(socket, 0); err != nil {
		b.Fatal(err)
	}
	name, err := syscall.Getsockname(socket)
	if err != nil {
		b.Fatal(err)
	}
	address := &net.TCPAddr{IP: host, Port: name.(*syscall.SockaddrInet4).Port}
	for range 10 {
		connection, err := net.DialTimeout("tcp", address.String(), 200*time.Millisecond)
		if err != nil {
			return targetAt(address)
		}
		b.Cleanup(func() { connection.Close() })
	}
	b.Fatal("the queue takes ten connections")
	panic("unreachable")
}

// A target that sends a little now and then is not idle.
func TestASlowAnswer(t *testing.T) {
	b := newBed(t, toGroup())
	b.balancer().Attributes["idle_timeout.timeout_seconds"] = "1"
	target := b.serve(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "5")
		for _, letter := range "hello" {
			_, _ = io.WriteString(w, string(letter))
			w.(http.Flusher).Flush()
			time.Sleep(400 * time.Millisecond)
		}
	})
	b.unchecked(target)
	for name, sent := range map[string]io.Reader{"without a body": nil, "with a body": strings.NewReader("sent")} {
		request, _ := http.NewRequest(http.MethodPost, b.url(0, "/"), sent)
		answered, body := b.do(client(), request)
		expect(t, "status "+name, answered.StatusCode, 200)
		expect(t, "body "+name, body, "hello")
	}
}

// The end of an answer that has begun is the end of the connection: the client must see that it is short.
func TestAnAnswerThatStops(t *testing.T) {
	for name, stop := range map[string]func(net.Conn){
		"closes": func(connection net.Conn) { connection.Close() },
		"idles":  func(net.Conn) {},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, toGroup())
			b.balancer().Attributes["idle_timeout.timeout_seconds"] = "1"
			b.unchecked(b.raw(func(connection net.Conn) {
				readRequest(connection)
				_, _ = io.WriteString(connection, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
				stop(connection)
			}))
			answered, err := client().Get(b.url(0, "/"))
			if err != nil {
				t.Fatal(err)
			}
			defer answered.Body.Close()
			body, err := io.ReadAll(answered.Body)
			if string(body) != "half" || err == nil {
				t.Errorf("body %q, error %v; expected half and an error", body, err)
			}
		})
	}
}

func TestAClientThatLeaves(t *testing.T) {
	b := newBed(t, toGroup())
	begun, ended := make(chan struct{}), make(chan struct{})
	b.unchecked(b.serve(func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
		close(ended)
	}))
	ctx, leave := context.WithCancel(context.Background())
	request, _ := http.NewRequestWithContext(ctx, http.MethodGet, b.url(0, "/"), nil)
	go func() {
		<-begun
		leave()
	}()
	if _, err := client().Do(request); err == nil {
		t.Error("an answer")
	}
	select {
	case <-ended:
	case <-time.After(deadline):
		t.Error("the target's request goes on")
	}
}

// talk sends bytes to the load balancer, and returns what it answers until the connection is closed.
func (b *bed) talk(text string) string {
	b.Helper()
	connection, err := net.Dial("tcp", strings.TrimPrefix(b.url(0, ""), "http://"))
	if err != nil {
		b.Fatal(err)
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(deadline))
	if _, err := io.WriteString(connection, text); err != nil {
		b.Fatal(err)
	}
	answered, err := io.ReadAll(connection)
	if err != nil {
		b.Fatal(err)
	}
	return string(answered)
}

func TestRequestsThatAreNone(t *testing.T) {
	b := newBed(t, toGroup())
	b.balancer().Attributes["idle_timeout.timeout_seconds"] = "1"
	b.unchecked(b.serve(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	b.waitForAnswer("/", 200)
	for name, c := range map[string]struct {
		text   string
		status int
	}{
		"no request":            {"hello\r\n\r\n", 400},
		"a header that is none": {"GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", 400},
		"no host":               {"GET / HTTP/1.1\r\n\r\n", 400},
		"a header of 100 KB":    {"GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 100<<10) + "\r\n\r\n", 400},
		"an unknown encoding":   {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501},
		"HTTP/2":                {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
		"HTTP/3":                {"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505},
		"TRACE":                 {"TRACE / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 405},
		"half a body":           {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf", 408},
		"31 addresses": {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Forwarded-For: 10.0.0.1" +
			strings.Repeat(", 10.0.0.1", 30) + "\r\n\r\n", 463},
		"30 addresses": {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Forwarded-For: 10.0.0.1" +
			strings.Repeat(", 10.0.0.1", 29) + "\r\n\r\n", 200},
	} {
		t.Run(name, func(t *testing.T) {
			got := b.talk(c.text)
			if !strings.HasPrefix(got, fmt.Sprintf("HTTP/1.1 %d ", c.status)) {
				t.Errorf("%.200q; expected %d", got, c.status)
			}
			if c.status != 200 && !strings.Contains(got, "Server: awselb/2.0\r\n") {
				t.Errorf("not a page of the load balancer: %.300q", got)
			}
		})
	}
}

func TestFixedResponses(t *testing.T) {
	b := newBed(t,
		desired.Rule{Priority: 1, Conditions: onPath("/json"), Actions: []desired.Action{{
			Type: "fixed-response", FixedResponseConfig: &desired.FixedResponseConfig{
				StatusCode: 299, ContentType: "application/json", MessageBody: "{}",
			},
		}}},
		desired.Rule{Priority: 2, Conditions: onPath("/none"), Actions: []desired.Action{{
			Type: "fixed-response", FixedResponseConfig: &desired.FixedResponseConfig{StatusCode: 503},
		}}},
		desired.Rule{Priority: desired.Last, Actions: fixed(404, "")},
	)
	b.waitForAnswer("/", 404)
	for _, c := range []struct {
		path        string
		status      int
		contentType string
		body        string
	}{
		{"/json", 299, "application/json; charset=utf-8", "{}"},
		{"/none", 503, "text/plain; charset=utf-8", ""},
		{"/other", 404, "text/plain; charset=utf-8", ""},
	} {
		answered, body := b.get(c.path)
		expect(t, c.path+" status", answered.StatusCode, c.status)
		expect(t, c.path+" content type", answered.Header.Get("Content-Type"), c.contentType)
		expect(t, c.path+" body", body, c.body)
		expect(t, c.path+" server", answered.Header.Get("Server"), "awselb/2.0")
		expect(t, c.path+" length", answered.ContentLength, int64(len(c.body)))
	}
	answered, body := b.get("/json", func(r *http.Request) { r.Method = http.MethodHead })
	expect(t, "status of HEAD", answered.StatusCode, 299)
	expect(t, "body of HEAD", body, "")
}

func onPath(path string) []desired.Condition {
	return []desired.Condition{{Field: "path-pattern", Values: []string{path}}}
}

func TestARedirect(t *testing.T) {
	b := newBed(t, desired.Rule{Priority: desired.Last, Actions: []desired.Action{{
		Type:           "redirect",
		RedirectConfig: &desired.RedirectConfig{Protocol: "HTTPS", Port: "443", StatusCode: "HTTP_301"},
	}}})
	b.waitForAnswer("/", 301)
	answered, body := b.get("/a?b=c", func(r *http.Request) { r.Host = "www.example.com" })
	expect(t, "location", answered.Header.Get("Location"), "https://www.example.com:443/a?b=c")
	expect(t, "length of the page", len(body), 134)
	expect(t, "server", answered.Header.Get("Server"), "awselb/2.0")
}

func TestActionsThatAreMissing(t *testing.T) {
	signIn := desired.Action{Type: "authenticate-oidc", Order: 1}
	forward := desired.Action{Type: "forward", TargetGroupARN: groupARN, Order: 2}
	b := newBed(t,
		desired.Rule{Priority: 1, Conditions: onPath("/sign-in"), Actions: []desired.Action{forward, signIn}},
		desired.Rule{Priority: 2, Conditions: onPath("/jwt"), Actions: []desired.Action{{Type: "jwt-validation", Order: 1}, forward}},
		toGroup(),
	)
	b.unchecked(b.serve(say("")))
	b.waitForAnswer("/", 200)
	for _, path := range []string{"/sign-in", "/jwt"} {
		answered, _ := b.get(path)
		expect(t, path, answered.StatusCode, 500)
	}
}

// Targets close connections that nobody uses, and may do so just when a request comes.
func TestConnectionsThatTargetsClosed(t *testing.T) {
	b := newBed(t, toGroup())
	b.unchecked(b.raw(func(connection net.Conn) {
		defer connection.Close()
		readRequest(connection)
		_, _ = io.WriteString(connection, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	}))
	for _, method := range []string{http.MethodGet, http.MethodPut} {
		for range 200 {
			request, _ := http.NewRequest(method, b.url(0, "/"), nil)
			answered, _ := b.do(client(), request)
			if answered.StatusCode != 200 {
				t.Fatalf("%s: %d", method, answered.StatusCode)
			}
		}
	}
}

func TestWeights(t *testing.T) {
	weighted := func(first, second int) []desired.Action {
		a, b := desired.Number(first), desired.Number(second)
		return []desired.Action{{Type: "forward", ForwardConfig: &desired.ForwardConfig{TargetGroups: []desired.WeightedGroup{
			{TargetGroupARN: groupARN, Weight: &a}, {TargetGroupARN: "other", Weight: &b},
		}}}}
	}
	b := newBed(t,
		desired.Rule{Priority: 1, Conditions: onPath("/one"), Actions: weighted(1, 0)},
		desired.Rule{Priority: 2, Conditions: onPath("/other"), Actions: weighted(0, 999)},
		desired.Rule{Priority: 3, Conditions: onPath("/none"), Actions: weighted(0, 0)},
		desired.Rule{Priority: desired.Last, Actions: weighted(1, 3)},
	)
	other := newGroup(b.serve(say("other")))
	other.ARN, other.HealthCheck.Enabled = "other", false
	b.state.TargetGroups = []desired.TargetGroup{newGroup(b.serve(say("one"))), other}
	b.group().HealthCheck.Enabled = false
	b.write()
	b.waitForAnswer("/one", 200)
	for path, want := range map[string]string{"/one": "one", "/other": "other"} {
		for range 20 {
			_, body := b.get(path)
			expect(t, path, body, want)
		}
	}
	answered, _ := b.get("/none")
	expect(t, "status without weights", answered.StatusCode, 503)
	seen := map[string]int{}
	for range 400 {
		_, body := b.get("/")
		seen[body]++
	}
	// One in four: 100, with a deviation of 8.7. Six of these are more than chance.
	if seen["one"] < 48 || seen["one"] > 152 || seen["one"]+seen["other"] != 400 {
		t.Errorf("shares %v; expected about 100 and 300", seen)
	}
}
