package loadbalancer

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
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

// deadline is how long a test waits for what has to happen.
const deadline = 20 * time.Second

func TestMain(m *testing.M) {
	flag.Parse()
	if !testing.Verbose() {
		log.SetOutput(io.Discard)
	}
	// The tests wait for timeouts more than they compute.
	if err := flag.Set("test.parallel", "16"); err != nil {
		log.Fatal(err)
	}
	os.Exit(m.Run())
}

const (
	balancerARN = "arn:aws:elasticloadbalancing:ap-northeast-2:111122223333:loadbalancer/app/web/1"
	listenerARN = "arn:aws:elasticloadbalancing:ap-northeast-2:111122223333:listener/app/web/1/2"
	groupARN    = "arn:aws:elasticloadbalancing:ap-northeast-2:111122223333:targetgroup/pods/3"
	zoneA       = "ap-northeast-2a"
	zoneC       = "ap-northeast-2c"
)

// bed is a data plane that runs, with one load balancer in two zones of 127.0.0.0/8.
type bed struct {
	*testing.T
	folder string
	state  desired.State
	stop   func()
}

// hosts hands out addresses that no other test of this run uses.
var hosts atomic.Uint32

func newAddress() string {
	number := hosts.Add(1)
	return net.IPv4(127, byte(20+os.Getpid()%200), byte(number>>8), byte(number)).String()
}

func newBed(t *testing.T, rules ...desired.Rule) *bed {
	t.Parallel()
	b := &bed{T: t, folder: t.TempDir()}
	zones := []desired.Zone{{Zone: zoneA, Private: newAddress(), Public: newAddress()}, {Zone: zoneC, Private: newAddress()}}
	b.state = desired.State{
		Region: "ap-northeast-2",
		LoadBalancers: []desired.LoadBalancer{{
			ARN: balancerARN, Name: "web", Type: desired.Application, Scheme: "internet-facing",
			DNSName: "web-1.ap-northeast-2.elb.amazonaws.com", Zones: zones,
			Attributes: desired.Attributes{},
			Listeners: []desired.Listener{{
				ARN: listenerARN, Port: 8080, Protocol: "HTTP", Rules: rules,
			}},
		}},
	}
	b.start()
	return b
}

func (b *bed) start() {
	b.write()
	ctx, cancel := context.WithCancel(context.Background())
	plane := New(filepath.Join(b.folder, "desired.json"), filepath.Join(b.folder, "observed"))
	var running sync.WaitGroup
	running.Go(func() {
		if err := plane.Run(ctx); err != nil {
			b.Error(err)
		}
	})
	b.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
	b.Cleanup(func() { b.stop() })
}

// write hands the state to the data plane, as the AWS side does.
func (b *bed) write() {
	b.Helper()
	text, err := json.Marshal(b.state)
	if err != nil {
		b.Fatal(err)
	}
	b.writeText(string(text))
}

func (b *bed) writeText(text string) {
	b.Helper()
	draft := filepath.Join(b.folder, "draft")
	if err := os.WriteFile(draft, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	if err := os.Rename(draft, filepath.Join(b.folder, "desired.json")); err != nil {
		b.Fatal(err)
	}
}

func (b *bed) balancer() *desired.LoadBalancer { return &b.state.LoadBalancers[0] }

func (b *bed) listener() *desired.Listener { return &b.balancer().Listeners[0] }

func (b *bed) group() *desired.TargetGroup { return &b.state.TargetGroups[0] }

// url is the load balancer's in a zone: 0 is zone a, 1 is zone c.
func (b *bed) url(zone int, path string) string {
	scheme := strings.ToLower(b.listener().Protocol)
	return scheme + "://" + net.JoinHostPort(b.balancer().Zones[zone].Private, strconv.Itoa(b.listener().Port)) + path
}

// observed reads what the data plane has written.
func (b *bed) observed() observed {
	b.Helper()
	var found observed
	text, err := os.ReadFile(filepath.Join(b.folder, "observed", observedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return found
	}
	if err == nil {
		err = json.Unmarshal(text, &found)
	}
	if err != nil {
		b.Fatal(err)
	}
	return found
}

// waitFor waits until something holds.
func (b *bed) waitFor(what string, holds func() bool) {
	b.Helper()
	for end := time.Now().Add(deadline); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			b.Fatalf("not within %s: %s; observed %+v", deadline, what, b.observed())
		}
	}
}

// waitForStatus waits until a target of the first group has a status.
func (b *bed) waitForStatus(target desired.Target, want health.Status) {
	b.Helper()
	b.waitFor("target "+target.Key()+" "+string(want.State)+" "+want.Description, func() bool {
		return b.observed().Targets[groupARN][target.Key()] == want
	})
}

// waitForAnswer waits until a request to the load balancer gets a status.
func (b *bed) waitForAnswer(path string, status int) {
	b.Helper()
	b.waitFor("status "+strconv.Itoa(status)+" of "+path, func() bool {
		answered, err := client().Get(b.url(0, path))
		if err != nil {
			return false
		}
		defer answered.Body.Close()
		return answered.StatusCode == status
	})
}

// client is a client that keeps no connection and follows no redirect.
func client() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       deadline,
	}
}

// get asks the load balancer and returns its answer.
func (b *bed) get(path string, change ...func(*http.Request)) (*http.Response, string) {
	b.Helper()
	request, err := http.NewRequest(http.MethodGet, b.url(0, path), nil)
	if err != nil {
		b.Fatal(err)
	}
	for _, f := range change {
		f(request)
	}
	return b.do(client(), request)
}

func (b *bed) do(client *http.Client, request *http.Request) (*http.Response, string) {
	b.Helper()
	answered, err := client.Do(request)
	if err != nil {
		b.Fatal(err)
	}
	defer answered.Body.Close()
	body, err := io.ReadAll(answered.Body)
	if err != nil {
		b.Fatal(err)
	}
	return answered, string(body)
}

// toGroup is a rule that forwards everything to the first group.
func toGroup() desired.Rule {
	return desired.Rule{Priority: desired.Last, Actions: []desired.Action{{Type: "forward", TargetGroupARN: groupARN}}}
}

// fixed is a rule's action that answers with a text.
func fixed(status int, text string) []desired.Action {
	return []desired.Action{{Type: "fixed-response", FixedResponseConfig: &desired.FixedResponseConfig{
		StatusCode: desired.Number(status), ContentType: "text/plain", MessageBody: text,
	}}}
}

// newGroup is a target group that is checked every second.
func newGroup(targets ...desired.Target) desired.TargetGroup {
	return desired.TargetGroup{
		ARN: groupARN, Name: "pods", Protocol: "HTTP", ProtocolVersion: "HTTP1", UsedBy: []string{balancerARN},
		HealthCheck: desired.HealthCheck{
			Enabled: true, Protocol: "HTTP", Path: "/health", Port: desired.TrafficPort,
			Interval: 1, Timeout: 1, Healthy: 2, Unhealthy: 2, Matcher: "200",
		},
		Attributes: desired.Attributes{},
		Targets:    targets,
	}
}

// addGroup puts a group of targets behind the listener, and hands it to the data plane.
func (b *bed) addGroup(targets ...desired.Target) {
	b.state.TargetGroups = append(b.state.TargetGroups, newGroup(targets...))
	b.write()
}

// serve starts a target. Its health check is answered with 200, everything else by the handler.
func (b *bed) serve(handler http.HandlerFunc) desired.Target {
	b.Helper()
	return b.serveAll(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" {
			return
		}
		handler(w, r)
	})
}

func (b *bed) serveAll(handler http.HandlerFunc) desired.Target {
	b.Helper()
	socket := b.listenTarget()
	server := &httptest.Server{Listener: socket, Config: &http.Server{Handler: handler}}
	server.Start()
	b.Cleanup(server.Close)
	return targetAt(socket.Addr())
}

func (b *bed) listenTarget() net.Listener {
	b.Helper()
	socket, err := net.Listen("tcp", newAddress()+":0")
	if err != nil {
		b.Fatal(err)
	}
	return socket
}

func targetAt(address net.Addr) desired.Target {
	tcp := address.(*net.TCPAddr)
	return desired.Target{ID: tcp.IP.String(), Address: tcp.IP.String(), Port: tcp.Port, Zone: zoneA}
}

// say is a handler that answers with a text.
func say(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

func expect(t testing.TB, what string, got, want any) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v; expected %v", what, got, want)
	}
}

// notify is how the program hears that it shall end.
func notify() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), syscall.SIGTERM)
}
