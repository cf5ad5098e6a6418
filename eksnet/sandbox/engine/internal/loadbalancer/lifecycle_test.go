package loadbalancer

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"eksnet.dev/engine/internal/loadbalancer/desired"
	"eksnet.dev/engine/internal/loadbalancer/health"
)

// Requests never meet an error while everything around them changes.
func TestReloadUnderLoad(t *testing.T) {
	b := newBed(t, toGroup())
	targets := []desired.Target{b.serve(say("a")), b.serve(say("b")), b.serve(say("c"))}
	b.addGroup(targets...)
	for _, target := range targets {
		b.waitForStatus(target, health.IsHealthy)
	}
	stop := make(chan struct{})
	var failures, requests atomic.Int64
	var running sync.WaitGroup
	for worker := range 4 {
		url := b.url(worker%2, "/")
		running.Go(func() {
			asking := client()
			if worker%2 == 0 {
				asking.Transport = &http.Transport{} // with connections that are kept
			}
			for {
				select {
				case <-stop:
					return
				default:
				}
				answered, err := asking.Get(url)
				if err != nil {
					failures.Add(1)
					t.Log(err)
					continue
				}
				_, _ = io.Copy(io.Discard, answered.Body)
				answered.Body.Close()
				requests.Add(1)
				if answered.StatusCode != 200 {
					failures.Add(1)
					t.Log(answered.Status)
				}
			}
		})
	}
	for round := range 12 {
		switch round % 4 {
		case 0:
			b.listener().Rules = []desired.Rule{{Priority: 1, Conditions: onPath("/never"), Actions: fixed(404, "")}, toGroup()}
		case 1: // another http.Server
			b.balancer().Attributes["idle_timeout.timeout_seconds"] = strconv.Itoa(50 + round)
		case 2:
			b.group().Targets[0].DrainingSince = &desired.Time{Time: time.Now()}
		case 3:
			b.group().Targets[0].DrainingSince = nil
			other := *b.listener()
			other.ARN, other.Port = fmt.Sprint("other ", round), 9000+round
			b.balancer().Listeners = []desired.Listener{*b.listener(), other}
		}
		b.write()
		time.Sleep(2 * looking)
		before := requests.Load()
		b.waitFor("more requests", func() bool { return requests.Load() > before+20 || failures.Load() > 0 })
	}
	close(stop)
	running.Wait()
	if failures.Load() > 0 {
		t.Errorf("%d of %d requests failed", failures.Load(), requests.Load())
	}
}

func TestAListenerThatIsGone(t *testing.T) {
	b := newBed(t, toGroup())
	begun, goOn := make(chan struct{}, 100), make(chan struct{})
	b.unchecked(b.serve(func(w http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		<-goOn
		say("late")(w, r)
	}))
	url := b.url(0, "/")
	result := make(chan string)
	go func() {
		_, body := b.get("/")
		result <- body
	}()
	<-begun
	other := *b.listener()
	other.ARN, other.Port = "other", 8081
	b.balancer().Listeners = []desired.Listener{other}
	b.write()
	b.waitFor("nobody to listen", func() bool {
		connection, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/"))
		if err == nil {
			connection.Close()
		}
		return err != nil
	})
	close(goOn)
	expect(t, "the request in flight", <-result, "late")
	b.waitForAnswer("/", 200)
}

func TestLargeBodiesAreStreamed(t *testing.T) {
	b := newBed(t, toGroup())
	b.unchecked(b.serve(func(w http.ResponseWriter, r *http.Request) {
		digest := sha256.New()
		size, err := io.Copy(digest, r.Body)
		w.Header().Set("Trailer", "Digest")
		fmt.Fprintf(w, "%d %v %d ", size, err, r.ContentLength)
		fmt.Fprintf(w, "%x", digest.Sum(nil))
	}))
	body := make([]byte, 5<<20)
	_, _ = rand.Read(body)
	for name, c := range map[string]struct {
		body   io.Reader
		length int
	}{"with a length": {bytes.NewReader(body), len(body)}, "chunked": {io.MultiReader(bytes.NewReader(body)), -1}} {
		request, _ := http.NewRequest(http.MethodPost, b.url(0, "/"), c.body)
		_, got := b.do(client(), request)
		expect(t, name, got, fmt.Sprintf("%d <nil> %d %x", len(body), c.length, sha256.Sum256(body)))
	}
}

// An answer goes on its way piece by piece, also one whose length is known.
func TestAnswersAreStreamed(t *testing.T) {
	for name, length := range map[string]string{"of unknown length": "", "of known length": "10"} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, toGroup())
			goOn := make(chan struct{})
			b.unchecked(b.serve(func(w http.ResponseWriter, r *http.Request) {
				if length != "" {
					w.Header().Set("Content-Length", length)
				}
				_, _ = io.WriteString(w, "first")
				w.(http.Flusher).Flush()
				<-goOn
				_, _ = io.WriteString(w, "later")
			}))
			answered, err := client().Get(b.url(0, "/"))
			if err != nil {
				t.Fatal(err)
			}
			first := make([]byte, 5)
			_, err = io.ReadFull(answered.Body, first)
			if err != nil || string(first) != "first" {
				t.Fatalf("%q, %v", first, err)
			}
			close(goOn)
			rest, err := io.ReadAll(answered.Body)
			answered.Body.Close()
			if err != nil || string(rest) != "later" {
				t.Errorf("%q, %v", rest, err)
			}
		})
	}
}

// TestHelperProgram is no test: it is the data plane as a process, for the tests that end it.
func TestHelperProgram(t *testing.T) {
	folder := os.Getenv("EKSNET_PLANE")
	if folder == "" {
		return
	}
	ctx, stop := notify()
	defer stop()
	if err := New(filepath.Join(folder, "desired.json"), filepath.Join(folder, "observed")).Run(ctx); err != nil {
		t.Fatal(err)
	}
}

// process starts the data plane as a process of its own, in place of the one within the test.
func (b *bed) process() *exec.Cmd {
	b.Helper()
	b.stop()
	command := exec.Command(os.Args[0], "-test.run=^TestHelperProgram$")
	command.Env = append(os.Environ(), "EKSNET_PLANE="+b.folder)
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	return command
}

// openRequests begins requests that their target never answers, and returns a channel of their results.
func (b *bed) openRequests(count int) <-chan string {
	b.Helper()
	begun := make(chan struct{}, count)
	held := b.serve(func(w http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		<-r.Context().Done()
	})
	b.state.TargetGroups = []desired.TargetGroup{newGroup(held)}
	b.group().HealthCheck.Enabled = false
	b.write()
	b.waitForStatus(held, health.NotChecked)
	results := make(chan string, count)
	for range count {
		go func() {
			answered, err := client().Get(b.url(0, "/"))
			if err != nil {
				results <- "no answer"
				return
			}
			answered.Body.Close()
			results <- strconv.Itoa(answered.StatusCode)
		}()
	}
	for range count {
		select {
		case <-begun:
		case <-time.After(deadline):
			b.Fatal("the requests did not come to the target")
		}
	}
	return results
}

const open = 100

// The end that is asked for: each of 100 open requests gets an error of HTTP, and the program ends.
func TestItEndsWithAnAnswerToEachRequest(t *testing.T) {
	b := newBed(t, toGroup())
	program := b.process()
	results := b.openRequests(open)
	if err := program.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	expect(t, "results", tally(t, results), "map[503:100]")
	if err := program.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// The end that nobody asked for: no request hangs, and the next start goes on.
func TestItIsKilled(t *testing.T) {
	b := newBed(t, toGroup())
	program := b.process()
	results := b.openRequests(open)
	if err := program.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	expect(t, "results", tally(t, results), "map[no answer:100]")
	b.state.TargetGroups[0].Targets = []desired.Target{b.serve(say("again"))}
	b.write()
	b.process()
	b.waitForAnswer("/", 200)
}

func tally(t *testing.T, results <-chan string) string {
	t.Helper()
	seen := map[string]int{}
	for range open {
		select {
		case result := <-results:
			seen[result]++
		case <-time.After(deadline):
			t.Fatalf("requests hang; %v ended", seen)
		}
	}
	return fmt.Sprint(seen)
}

func TestStickiness(t *testing.T) {
	b := newBed(t, toGroup())
	targets := []desired.Target{b.serve(say("a")), b.serve(say("b")), b.serve(say("c"))}
	b.state.TargetGroups = []desired.TargetGroup{newGroup(targets...)}
	b.group().Attributes["stickiness.enabled"] = "true"
	b.group().Attributes["stickiness.type"] = "lb_cookie"
	b.group().HealthCheck.Enabled = false
	b.write()
	b.waitForAnswer("/", 200)
	answered, first := b.get("/")
	names := []string{}
	for _, cookie := range answered.Cookies() {
		names = append(names, cookie.Name)
	}
	expect(t, "cookies", fmt.Sprint(names), "[AWSALB AWSALBCORS]")
	with := func(r *http.Request) { r.AddCookie(answered.Cookies()[0]) }
	for range 10 {
		_, body := b.get("/", with)
		expect(t, "target", body, first)
	}
	// A cookie that nobody made, and one whose target is gone, bind to nothing.
	forged := func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "AWSALB", Value: "forged"}) }
	seen := map[string]bool{}
	for range 6 {
		_, body := b.get("/", forged)
		seen[body] = true
	}
	expect(t, "targets of a forged cookie", len(seen), 3)
	var left []desired.Target
	for i, name := range []string{"a", "b", "c"} {
		if name != first {
			left = append(left, targets[i])
		}
	}
	b.group().Targets = left
	b.write()
	b.waitFor("the target to be gone", func() bool { return len(b.observed().Targets[groupARN]) == 2 })
	answered, body := b.get("/", with)
	expect(t, "status", answered.StatusCode, 200)
	if body == first {
		t.Error("the target that is gone answered")
	}
}

func TestStickyTargetGroups(t *testing.T) {
	half := desired.Number(1)
	config := &desired.ForwardConfig{TargetGroups: []desired.WeightedGroup{
		{TargetGroupARN: groupARN, Weight: &half}, {TargetGroupARN: "other", Weight: &half},
	}}
	config.TargetGroupStickinessConfig.Enabled = true
	config.TargetGroupStickinessConfig.DurationSeconds = 100
	b := newBed(t, desired.Rule{Priority: desired.Last, Actions: []desired.Action{{Type: "forward", ForwardConfig: config}}})
	other := newGroup(b.serve(say("other")))
	other.ARN, other.HealthCheck.Enabled = "other", false
	b.state.TargetGroups = []desired.TargetGroup{newGroup(b.serve(say("one"))), other}
	b.group().HealthCheck.Enabled = false
	b.write()
	b.waitForAnswer("/", 200)
	answered, first := b.get("/")
	expect(t, "cookie", answered.Cookies()[0].Name, "AWSALBTG")
	for range 30 {
		_, body := b.get("/", func(r *http.Request) { r.AddCookie(answered.Cookies()[0]) })
		expect(t, "target group", body, first)
	}
}

func TestLeastOutstandingRequests(t *testing.T) {
	b := newBed(t, toGroup())
	begun, goOn := make(chan struct{}), make(chan struct{})
	busy := b.serve(func(w http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		<-goOn
	})
	idle := b.serve(say("idle"))
	b.state.TargetGroups = []desired.TargetGroup{newGroup(busy)}
	b.group().HealthCheck.Enabled = false
	b.group().Attributes["load_balancing.algorithm.type"] = "least_outstanding_requests"
	b.write()
	b.waitForStatus(busy, health.NotChecked)
	ended := make(chan struct{})
	go func() {
		b.get("/")
		close(ended)
	}()
	<-begun
	b.group().Targets = append(b.group().Targets, idle)
	b.write()
	b.waitForStatus(idle, health.NotChecked)
	for range 10 {
		_, body := b.get("/")
		expect(t, "target", body, "idle")
	}
	close(goOn)
	<-ended
}

func TestWebSocket(t *testing.T) {
	b := newBed(t, toGroup())
	b.balancer().Attributes["idle_timeout.timeout_seconds"] = "1"
	b.unchecked(b.serve(func(w http.ResponseWriter, r *http.Request) {
		expect(t, "upgrade", r.Header.Get("Upgrade"), "websocket")
		connection, both, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer connection.Close()
		_, _ = both.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_ = both.Flush()
		_, _ = io.Copy(connection, both)
	}))
	connection, err := net.Dial("tcp", strings.TrimPrefix(b.url(0, ""), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(deadline))
	_, _ = io.WriteString(connection, "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	var head bytes.Buffer
	for !strings.HasSuffix(head.String(), "\r\n\r\n") {
		if _, err := io.CopyN(&head, connection, 1); err != nil {
			t.Fatalf("%q, %v", head.String(), err)
		}
	}
	if !strings.HasPrefix(head.String(), "HTTP/1.1 101 ") {
		t.Fatalf("%q", head.String())
	}
	// Three times as long as the idle timeout, and never idle.
	echoed := make([]byte, 4)
	for range 6 {
		_, _ = io.WriteString(connection, "ping")
		if _, err := io.ReadFull(connection, echoed); err != nil || string(echoed) != "ping" {
			t.Fatalf("%q, %v", echoed, err)
		}
		time.Sleep(500 * time.Millisecond)
	}
	if size, err := connection.Read(echoed); err == nil {
		t.Errorf("an idle connection says %q", echoed[:size])
	} else if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		t.Error("an idle connection stays open")
	}
}

// An idle connection of a client is closed, as its requests have an idle timeout.
func TestIdleClients(t *testing.T) {
	b := newBed(t, desired.Rule{Priority: desired.Last, Actions: fixed(200, "")})
	b.balancer().Attributes["idle_timeout.timeout_seconds"] = "1"
	b.write()
	time.Sleep(3 * looking)
	b.waitForAnswer("/", 200)
	expect(t, "answers", strings.Count(b.talk("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP/1.1 200 OK"), 1)
}
