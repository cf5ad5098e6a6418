package health

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"eksnet.dev/engine/internal/loadbalancer/desired"
)

// Outcome is the result of one check: the zero value for one that passed, else the unhealthy status
// that it would give.
type Outcome Status

// Passed tells whether the target was found healthy.
func (o Outcome) Passed() bool { return o == Outcome{} }

var (
	passed   Outcome
	timedOut = Outcome{Unhealthy, "Target.Timeout", "Request timed out"}
	failed   = Outcome{Unhealthy, "Target.FailedHealthChecks", "Health checks failed"}
)

func mismatch(code int) Outcome {
	return Outcome{Unhealthy, "Target.ResponseCodeMismatch", fmt.Sprintf("Health checks failed with these codes: [%d]", code)}
}

// Check is how the targets of a group are asked, ready to be used.
type Check struct {
	Enabled            bool
	Interval, Timeout  time.Duration
	Healthy, Unhealthy int
	protocol, path     string
	port               int
	grpc, http2        bool
	// layer4 is a group of a Network Load Balancer, which knows one reason for all failures.
	layer4  bool
	matches func(code int) bool
}

// NewCheck reads a target group's settings.
func NewCheck(group desired.TargetGroup) (Check, error) {
	given := group.HealthCheck
	check := Check{
		Enabled:   given.Enabled,
		Interval:  time.Duration(given.Interval) * time.Second,
		Timeout:   time.Duration(given.Timeout) * time.Second,
		Healthy:   int(given.Healthy),
		Unhealthy: int(given.Unhealthy),
		protocol:  given.Protocol,
		path:      given.Path,
		grpc:      group.ProtocolVersion == "GRPC",
		http2:     group.ProtocolVersion == "GRPC" || group.ProtocolVersion == "HTTP2",
		layer4:    group.Layer4(),
	}
	if !given.Enabled {
		return check, nil
	}
	if check.Interval <= 0 || check.Timeout <= 0 || check.Healthy <= 0 || check.Unhealthy <= 0 {
		return check, fmt.Errorf("a health check without interval, timeout or thresholds: %+v", given)
	}
	var err error
	if given.Port != "" && given.Port != desired.TrafficPort {
		if check.port, err = strconv.Atoi(string(given.Port)); err != nil {
			return check, fmt.Errorf("the health check's port %q", given.Port)
		}
	}
	if check.protocol == "HTTP" || check.protocol == "HTTPS" {
		if _, err := url.ParseRequestURI(check.path); err != nil {
			return check, fmt.Errorf("the health check's path: %w", err)
		}
		check.matches, err = newMatcher(cmp.Or(given.Matcher, check.usual()))
	} else if check.protocol != "TCP" {
		err = fmt.Errorf("health checks with %q, which is not known", check.protocol)
	}
	return check, err
}

// usual is the matcher of a group that has none: the answer of a page, or that a gRPC service does not
// know the method.
func (c Check) usual() string {
	if c.grpc {
		return "12"
	}
	return "200"
}

// newMatcher reads codes and ranges: 200, 200,202 or 200-299.
func newMatcher(text string) (func(int) bool, error) {
	type span struct{ from, to int }
	var spans []span
	for part := range strings.SplitSeq(text, ",") {
		first, last, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			last = first
		}
		from, err := strconv.Atoi(first)
		to, err2 := strconv.Atoi(last)
		if err := errors.Join(err, err2); err != nil {
			return nil, fmt.Errorf("the matcher %q: %w", text, err)
		}
		spans = append(spans, span{from, to})
	}
	return func(code int) bool {
		for _, s := range spans {
			if s.from <= code && code <= s.to {
				return true
			}
		}
		return false
	}, nil
}

// Run asks one target once, from the address of a load balancer's node. The connection is new and
// closed afterwards.
func (c Check) Run(ctx context.Context, source netip.Addr, target desired.Target) Outcome {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	port := c.port
	if port == 0 {
		port = target.Port
	}
	address := net.JoinHostPort(target.Address, strconv.Itoa(port))
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: source.AsSlice()}}
	if c.protocol == "TCP" {
		return c.connect(ctx, dialer, address)
	}
	outcome := c.request(ctx, dialer, address)
	if c.layer4 && !outcome.Passed() {
		return failed
	}
	return outcome
}

func (c Check) connect(ctx context.Context, dialer *net.Dialer, address string) Outcome {
	connection, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return failed
	}
	connection.Close()
	return passed
}

func (c Check) request(ctx context.Context, dialer *net.Dialer, address string) Outcome {
	transport := &http.Transport{
		DialContext:        dialer.DialContext,
		TLSClientConfig:    &tls.Config{InsecureSkipVerify: true}, // as documented: targets' certificates are not verified
		DisableKeepAlives:  !c.http2,
		DisableCompression: true,
		Protocols:          c.protocols(),
	}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, c.method(), strings.ToLower(c.protocol)+"://"+address+c.path, nil)
	if err != nil {
		return failed
	}
	request.Header.Set("User-Agent", "ELB-HealthChecker/2.0")
	if c.grpc {
		request.Header.Set("Content-Type", "application/grpc")
		request.Header.Set("Te", "trailers")
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return outcomeOf(err)
	}
	defer response.Body.Close()
	code := response.StatusCode
	if c.grpc {
		if code, err = grpcStatus(response); err != nil {
			return outcomeOf(err)
		}
	}
	if !c.matches(code) {
		return mismatch(code)
	}
	return passed
}

func (c Check) method() string {
	if c.grpc {
		return http.MethodPost
	}
	return http.MethodGet
}

func (c Check) protocols() *http.Protocols {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!c.http2)
	protocols.SetHTTP2(c.http2)
	protocols.SetUnencryptedHTTP2(c.http2)
	return protocols
}

// grpcStatus reads a call's status from its trailer, or from the header where there is no message.
func grpcStatus(response *http.Response) (int, error) {
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return 0, err
	}
	status := response.Trailer.Get("Grpc-Status")
	if status == "" {
		status = response.Header.Get("Grpc-Status")
	}
	return strconv.Atoi(status)
}

// outcomeOf distinguishes silence from everything else: a refused connection is no timeout.
func outcomeOf(err error) Outcome {
	var timeout net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.As(err, &timeout) && timeout.Timeout() {
		return timedOut
	}
	return failed
}
