package loadbalancer

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"eksnet.dev/engine/internal/loadbalancer/desired"
)

// echo is a target that keeps the last request's header and host.
type echo struct{ last atomic.Pointer[http.Request] }

func (e *echo) serve(w http.ResponseWriter, r *http.Request) { e.last.Store(r) }

// newEcho is a load balancer before a target that keeps what it is sent.
func newEcho(t *testing.T, rules ...desired.Rule) (*bed, *echo) {
	b := newBed(t, append(rules, toGroup())...)
	e := &echo{}
	b.unchecked(b.serve(e.serve))
	b.waitForAnswer("/", 200)
	return b, e
}

// set changes an attribute, and waits until the load balancer has it.
func (b *bed) set(name, value string) {
	b.Helper()
	b.balancer().Attributes[name] = value
	marker := fmt.Sprint(len(b.balancer().Attributes), name, value)
	b.listener().Rules[0] = desired.Rule{Priority: 1, Conditions: onPath("/marker"), Actions: fixed(200, marker)}
	b.write()
	b.waitFor(name+"="+value, func() bool {
		_, body := b.get("/marker")
		return body == marker
	})
}

// The rows are those of AWS's table.
func TestForwardedFor(t *testing.T) {
	b, e := newEcho(t, desired.Rule{Priority: 1, Conditions: onPath("/marker"), Actions: fixed(200, "")})
	// Its source is the first address of the loopback device.
	for mode, want := range map[string][3]string{
		"append":   {"[127.0.0.1]", "[127.0.0.4, 127.0.0.1]", "[127.0.0.4, 127.0.0.8, 127.0.0.1]"},
		"preserve": {"[]", "[127.0.0.4]", "[127.0.0.4, 127.0.0.8]"},
		"remove":   {"[]", "[]", "[]"},
	} {
		b.set("routing.http.xff_header_processing.mode", mode)
		for i, sent := range []string{"", "127.0.0.4", "127.0.0.4, 127.0.0.8"} {
			b.get("/", func(r *http.Request) {
				if sent != "" {
					r.Header.Set("X-Forwarded-For", sent)
				}
				r.Header.Set("X-Forwarded-Proto", "gopher")
				r.Header.Set("X-Forwarded-Port", "70")
				r.Header.Set("X-Forwarded-Host", "before.example.com")
				r.Header.Set("Forwarded", "for=127.0.0.9")
			})
			header := e.last.Load().Header
			expect(t, mode+" with "+sent, fmt.Sprint(header["X-Forwarded-For"]), want[i])
			expect(t, "proto", fmt.Sprint(header["X-Forwarded-Proto"]), "[http]")
			expect(t, "port", fmt.Sprint(header["X-Forwarded-Port"]), "[8080]")
			expect(t, "host", fmt.Sprint(header["X-Forwarded-Host"]), "[before.example.com]")
			expect(t, "forwarded", fmt.Sprint(header["Forwarded"]), "[for=127.0.0.9]")
		}
	}
	b.set("routing.http.xff_header_processing.mode", "append")
	b.set("routing.http.xff_client_port.enabled", "true")
	b.get("/")
	if got := e.last.Load().Header.Get("X-Forwarded-For"); !regexp.MustCompile(`^127\.0\.0\.1:\d+$`).MatchString(got) {
		t.Errorf("with the client's port: %q", got)
	}
}

func TestTraceID(t *testing.T) {
	b, e := newEcho(t)
	const id = `1-[0-9a-f]{8}-[0-9a-f]{24}`
	for sent, want := range map[string]string{
		"":                                      `^Root=` + id + `$`,
		"CalledFrom=app":                        `^Root=` + id + `$`,
		"Root=1-67891233-abcdef;CalledFrom=app": `^Self=` + id + `;Root=1-67891233-abcdef;CalledFrom=app$`,
		"Self=1-1-1;Root=1-67891233-abcdef":     `^Self=` + id + `;Root=1-67891233-abcdef$`,
	} {
		b.get("/", func(r *http.Request) {
			if sent != "" {
				r.Header.Set("X-Amzn-Trace-Id", sent)
			}
		})
		if got := e.last.Load().Header.Get("X-Amzn-Trace-Id"); !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("%q becomes %q; expected %s", sent, got, want)
		}
	}
}

// The rows are those of AWS's table, for a listener on a port that is no default one.
func TestHost(t *testing.T) {
	b, e := newEcho(t, desired.Rule{Priority: 1, Conditions: onPath("/marker"), Actions: fixed(200, "")})
	hosts := func(want map[string]string) {
		t.Helper()
		for sent, host := range want {
			b.get("/", func(r *http.Request) { r.Host = sent })
			expect(t, sent, e.last.Load().Host, host)
		}
	}
	hosts(map[string]string{"example.com": "example.com:8080", "example.com:8080": "example.com:8080", "example.com:1": "example.com:1"})
	b.set("routing.http.preserve_host_header.enabled", "true")
	hosts(map[string]string{"example.com": "example.com", "example.com:8080": "example.com:8080"})
}

func TestInvalidHeaders(t *testing.T) {
	b, e := newEcho(t, desired.Rule{Priority: 1, Conditions: onPath("/marker"), Actions: fixed(200, "")})
	seen := func() string {
		b.get("/", func(r *http.Request) {
			r.Header["with_underscore"] = []string{"1"}
			r.Header["X-Fine"] = []string{"2"}
		})
		header := e.last.Load().Header
		return fmt.Sprint(header["With_underscore"], header["X-Fine"])
	}
	expect(t, "usually", seen(), "[1] [2]")
	b.set("routing.http.drop_invalid_header_fields.enabled", "true")
	expect(t, "dropped", seen(), "[] [2]")
}

// What comes to the target is what the client sent: path, query and hop-by-hop rules of HTTP.
func TestRequestsAreNotChanged(t *testing.T) {
	b, e := newEcho(t)
	for _, uri := range []string{"/a%2Fb/c%20d?x=%zz;y&&z", "//double//slash", "/?", "/a/../b"} {
		b.get("/", func(r *http.Request) {
			path, query, _ := strings.Cut(uri, "?")
			r.URL.Opaque, r.URL.RawQuery, r.URL.ForceQuery = "//"+r.URL.Host+path, query, strings.HasSuffix(uri, "?")
			r.Header.Set("Accept-Encoding", "br")
			r.Header.Set("Connection", "X-Hop")
			r.Header.Set("X-Hop", "1")
		})
		last := e.last.Load()
		expect(t, "uri", last.RequestURI, uri)
		expect(t, "accepted encodings", last.Header.Get("Accept-Encoding"), "br")
		expect(t, "a header for the next hop", last.Header.Get("X-Hop"), "")
		expect(t, "user agent", last.UserAgent(), "Go-http-client/1.1")
	}
}

func TestAnswersAreNotChanged(t *testing.T) {
	b := newBed(t, toGroup())
	b.unchecked(b.serve(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = nil
		w.Header()["Server"] = []string{"own"}
		w.Header()["Set-Cookie"] = []string{"a=b", "c=d"}
		w.WriteHeader(418)
		_, _ = w.Write([]byte("<html>"))
	}))
	answered, body := b.get("/")
	expect(t, "status", answered.StatusCode, 418)
	expect(t, "body", body, "<html>")
	expect(t, "content type", fmt.Sprint(answered.Header["Content-Type"]), "[]")
	expect(t, "server", answered.Header.Get("Server"), "own")
	expect(t, "cookies", fmt.Sprint(answered.Header["Set-Cookie"]), "[a=b c=d]")
	b.listener().Attributes = desired.Attributes{
		"routing.http.response.server.enabled":                           "false",
		"routing.http.response.strict_transport_security.header_value":   "max-age=1",
		"routing.http.response.access_control_allow_origin.header_value": "https://example.com",
		"routing.http.response.content_security_policy.header_value":     "",
	}
	b.write()
	b.waitFor("no server", func() bool {
		answered, _ = b.get("/")
		return answered.Header.Get("Server") == ""
	})
	expect(t, "added", answered.Header.Get("Strict-Transport-Security"), "max-age=1")
	expect(t, "added", answered.Header.Get("Access-Control-Allow-Origin"), "https://example.com")
	expect(t, "without a value", fmt.Sprint(answered.Header["Content-Security-Policy"]), "[]")
}

func TestTransformsReachTheTarget(t *testing.T) {
	rule := toGroup()
	rule.Priority = 1
	rule.Conditions = onPath("/dp/*")
	rule.Transforms = []desired.Transform{
		{Type: "url-rewrite", URLRewriteConfig: &desired.RewriteConfig{Rewrites: []desired.Rewrite{{Regex: "^/dp/([A-Z0-9]+)$", Replace: "/product?id=$1"}}}},
		{Type: "host-header-rewrite", HostHeaderRewriteConfig: &desired.RewriteConfig{Rewrites: []desired.Rewrite{{Regex: "^(.+)\\.example\\.com", Replace: "$1.internal"}}}},
	}
	broken := toGroup()
	broken.Priority = 2
	broken.Conditions = onPath("/broken")
	broken.Transforms = []desired.Transform{{Type: "url-rewrite", URLRewriteConfig: &desired.RewriteConfig{Rewrites: []desired.Rewrite{{Regex: "^/", Replace: "%"}}}}}
	b, e := newEcho(t, rule, broken)
	b.get("/dp/B09", func(r *http.Request) { r.Host = "shop.example.com" })
	expect(t, "uri", e.last.Load().RequestURI, "/product?id=B09")
	expect(t, "host", e.last.Load().Host, "shop.internal:8080")
	answered, _ := b.get("/broken")
	expect(t, "status of a transform that fails", answered.StatusCode, 500)
}

func TestTLSHeaders(t *testing.T) {
	b := newSecureBed(t, toGroup())
	e := &echo{}
	b.balancer().Attributes["routing.http.x_amzn_tls_version_and_cipher_suite.enabled"] = "true"
	b.unchecked(b.serve(e.serve))
	request, _ := http.NewRequest(http.MethodGet, b.url(0, "/"), nil)
	b.do(secureClient(true), request)
	header := e.last.Load().Header
	expect(t, "version", header.Get("X-Amzn-Tls-Version"), "TLSv1.3")
	if got := header.Get("X-Amzn-Tls-Cipher-Suite"); !strings.HasPrefix(got, "TLS_AES_") && !strings.HasPrefix(got, "TLS_CHACHA20") {
		t.Errorf("cipher suite %q", got)
	}
}
