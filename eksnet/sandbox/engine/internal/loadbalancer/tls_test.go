package loadbalancer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"eksnet.dev/engine/internal/loadbalancer/desired"
	"eksnet.dev/engine/internal/loadbalancer/health"
)

// newCertificate makes a certificate for names, which nobody has signed but itself. Its serial number
// says which one a client was given.
func newCertificate(t *testing.T, serial int64, key crypto.Signer, names ...string) desired.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Duration(serial) * time.Hour),
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return desired.Certificate{
		ARN: fmt.Sprint("certificate/", serial), Names: names,
		Chain: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed})),
		Key:   string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})),
	}
}

func ellipticKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rsaKey(t *testing.T, bits int) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// newSecureBed has an HTTPS listener with a default certificate.
func newSecureBed(t *testing.T, rules ...desired.Rule) *bed {
	b := newBed(t, rules...)
	standard := newCertificate(t, 1, ellipticKey(t), "default.example.com")
	standard.Default = true
	b.listener().Protocol = "HTTPS"
	b.listener().SSLPolicy = "ELBSecurityPolicy-TLS13-1-2-2021-06"
	b.listener().Certificates = []desired.Certificate{standard}
	b.write()
	b.waitFor("TLS", func() bool {
		connection, err := tls.Dial("tcp", b.place(), &tls.Config{InsecureSkipVerify: true})
		if err == nil {
			connection.Close()
		}
		return err == nil
	})
	return b
}

func (b *bed) place() string { return strings.TrimPrefix(b.url(0, ""), "https://") }

// secureClient speaks HTTP/2, or HTTP/1.1 alone.
func secureClient(http2 bool) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetHTTP2(http2)
	return &http.Client{Timeout: deadline, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, Protocols: protocols, DisableKeepAlives: !http2,
	}}
}

func TestCertificatesByName(t *testing.T) {
	b := newSecureBed(t, desired.Rule{Priority: desired.Last, Actions: fixed(200, "")})
	long, short := rsaKey(t, 3072), rsaKey(t, 2048)
	b.listener().Certificates = append(
		[]desired.Certificate{
			newCertificate(t, 2, short, "*.example.com"),
			newCertificate(t, 3, short, "www.example.com"),
			newCertificate(t, 4, short, "both.example.com"),
			newCertificate(t, 5, ellipticKey(t), "both.example.com"),
			newCertificate(t, 6, long, "length.example.com"),
			newCertificate(t, 7, short, "length.example.com"),
			newCertificate(t, 8, short, "validity.example.com"),
			newCertificate(t, 9, short, "validity.example.com"),
		}, b.listener().Certificates...,
	)
	b.write()
	serial := func(name string, change ...func(*tls.Config)) int64 {
		t.Helper()
		config := &tls.Config{ServerName: name, InsecureSkipVerify: true}
		for _, f := range change {
			f(config)
		}
		connection, err := tls.Dial("tcp", b.place(), config)
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		return connection.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	b.waitFor("the new certificates", func() bool { return serial("www.example.com") == 3 })
	for name, want := range map[string]int64{
		"":                     1, // no name
		"elsewhere.org":        1, // no certificate for it
		"any.example.com":      2,
		"a.b.example.com":      1, // a wildcard stands for one label
		"WWW.example.com":      3, // more exact than the wildcard
		"both.example.com":     5, // ECDSA rather than RSA
		"length.example.com":   6, // the longer key
		"validity.example.com": 9, // the longer validity
	} {
		expect(t, "serial for "+name, serial(name), want)
	}
	onlyRSA := func(c *tls.Config) {
		c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	}
	expect(t, "serial for a client without ECDSA", serial("both.example.com", onlyRSA), int64(4))
}

func TestSecurityPolicies(t *testing.T) {
	b := newSecureBed(t, desired.Rule{Priority: desired.Last, Actions: fixed(200, "")})
	for policy, want := range map[string]string{
		"ELBSecurityPolicy-2016-08":            "yes yes no",
		"ELBSecurityPolicy-TLS-1-2-2017-01":    "no yes no",
		"ELBSecurityPolicy-TLS13-1-2-2021-06":  "no yes yes",
		"ELBSecurityPolicy-TLS13-1-3-2021-06":  "no no yes",
		"ELBSecurityPolicy-TLS13-1-0-2021-06":  "yes yes yes",
		"ELBSecurityPolicy-FS-1-2-Res-2020-10": "no yes no",
		"ELBSecurityPolicy-TLS-1-1-2017-01":    "yes yes no",
	} {
		b.listener().SSLPolicy = policy
		b.write()
		try := func(version uint16) string {
			connection, err := tls.Dial("tcp", b.place(), &tls.Config{
				InsecureSkipVerify: true, MinVersion: version, MaxVersion: version,
			})
			if err != nil {
				return "no"
			}
			connection.Close()
			return "yes"
		}
		b.waitFor(policy+" has 1.1, 1.2, 1.3: "+want, func() bool {
			return strings.Join([]string{try(tls.VersionTLS11), try(tls.VersionTLS12), try(tls.VersionTLS13)}, " ") == want
		})
	}
}

func TestHTTP2ToClients(t *testing.T) {
	b := newSecureBed(t, toGroup())
	b.unchecked(b.serve(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s", r.Proto, r.Header.Get("X-Forwarded-Proto"), r.Header.Get("X-Forwarded-Port"))
	}))
	ask := func(http2 bool) (string, string) {
		request, _ := http.NewRequest(http.MethodGet, b.url(0, "/"), nil)
		answered, body := b.do(secureClient(http2), request)
		return answered.Proto, body
	}
	for http2, want := range map[bool]string{true: "HTTP/2.0", false: "HTTP/1.1"} {
		proto, body := ask(http2)
		expect(t, "protocol", proto, want)
		expect(t, "what the target sees", body, "HTTP/1.1 https 8080")
	}
	b.balancer().Attributes["routing.http2.enabled"] = "false"
	b.write()
	b.waitFor("no HTTP/2", func() bool {
		connection, err := tls.Dial("tcp", b.place(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}})
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		return connection.ConnectionState().NegotiatedProtocol == "http/1.1"
	})
	_, body := ask(false)
	expect(t, "what the target sees", body, "HTTP/1.1 https 8080")
}

// serveHTTP2 starts a target that speaks HTTP/2 without TLS, and nothing else.
func (b *bed) serveHTTP2(handler http.HandlerFunc) desired.Target {
	b.Helper()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	socket := b.listenTarget()
	server := &http.Server{Handler: handler, Protocols: protocols}
	go func() { _ = server.Serve(socket) }()
	b.Cleanup(func() { server.Close() })
	return targetAt(socket.Addr())
}

// The rows are those of AWS's table of protocol versions.
func TestProtocolVersions(t *testing.T) {
	for _, c := range []struct {
		version, method, contentType string
		http2                        bool
		status                       int
	}{
		{"HTTP1", http.MethodGet, "", false, 200},
		{"HTTP1", http.MethodGet, "", true, 200},
		{"HTTP1", http.MethodPost, "application/grpc", true, 464},
		{"HTTP2", http.MethodGet, "", false, 464},
		{"HTTP2", http.MethodGet, "", true, 200},
		{"HTTP2", http.MethodPost, "application/grpc", true, 200},
		{"GRPC", http.MethodPost, "", false, 464},
		{"GRPC", http.MethodGet, "", true, 464},
		{"GRPC", http.MethodPost, "", true, 200},
		{"GRPC", http.MethodPost, "application/grpc+proto", true, 200},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			b := newSecureBed(t, toGroup())
			target := b.serveHTTP2(say("two"))
			if c.version == "HTTP1" {
				target = b.serve(say("one"))
			}
			b.state.TargetGroups = []desired.TargetGroup{newGroup(target)}
			b.group().ProtocolVersion, b.group().HealthCheck.Enabled = c.version, false
			b.write()
			b.waitForStatus(target, health.NotChecked)
			request, _ := http.NewRequest(c.method, b.url(0, "/"), nil)
			if c.contentType != "" {
				request.Header.Set("Content-Type", c.contentType)
			}
			answered, _ := b.do(secureClient(c.http2), request)
			expect(t, "status", answered.StatusCode, c.status)
		})
	}
}

// A call with messages in both directions at a time, and its status in the trailer.
func TestGRPC(t *testing.T) {
	b := newSecureBed(t, toGroup())
	target := b.serveHTTP2(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status")
		status := "12"
		if r.URL.Path == "/echo.Echo/Chat" {
			expect(t, "te", r.Header.Get("Te"), "trailers")
			_ = http.NewResponseController(w).EnableFullDuplex()
			w.WriteHeader(200)
			_ = http.NewResponseController(w).Flush()
			for {
				message, err := readMessage(r.Body)
				if err != nil {
					break
				}
				_, _ = w.Write(message)
				_ = http.NewResponseController(w).Flush()
			}
			status = "0"
		}
		w.Header().Set("Grpc-Status", status)
	})
	b.state.TargetGroups = []desired.TargetGroup{newGroup(target)}
	b.group().ProtocolVersion = "GRPC"
	b.group().HealthCheck.Path, b.group().HealthCheck.Matcher = "/AWS.ALB/healthcheck", "12"
	b.write()
	b.waitForStatus(target, health.IsHealthy)

	reader, writer := io.Pipe()
	request, _ := http.NewRequest(http.MethodPost, b.url(0, "/echo.Echo/Chat"), reader)
	request.Header.Set("Content-Type", "application/grpc")
	request.Header.Set("Te", "trailers")
	answered, err := secureClient(true).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answered.Body.Close()
	for _, text := range []string{"one", "two", "three"} {
		sent := append([]byte{0, 0, 0, 0, byte(len(text))}, text...)
		if _, err := writer.Write(sent); err != nil {
			t.Fatal(err)
		}
		got, err := readMessage(answered.Body)
		if err != nil || string(got) != string(sent) {
			t.Fatalf("%q, %v; expected %q", got, err, sent)
		}
	}
	writer.Close()
	if rest, err := io.ReadAll(answered.Body); err != nil || len(rest) > 0 {
		t.Fatalf("%q, %v", rest, err)
	}
	expect(t, "status", answered.Trailer.Get("Grpc-Status"), "0")

	b.group().HealthCheck.Matcher = "0"
	b.write()
	b.waitForStatus(target, health.Status{
		State: health.Unhealthy, Reason: "Target.ResponseCodeMismatch", Description: "Health checks failed with these codes: [12]",
	})
}

func readMessage(reader io.Reader) ([]byte, error) {
	message := make([]byte, 5)
	if _, err := io.ReadFull(reader, message); err != nil {
		return nil, err
	}
	body := make([]byte, binary.BigEndian.Uint32(message[1:]))
	_, err := io.ReadFull(reader, body)
	return append(message, body...), err
}

// Targets with TLS have certificates that nobody verifies.
func TestTargetsWithTLS(t *testing.T) {
	b := newBed(t, toGroup())
	server := httptest.NewUnstartedServer(say("secret"))
	server.Listener.Close()
	server.Listener = b.listenTarget()
	server.StartTLS()
	t.Cleanup(server.Close)
	target := targetAt(server.Listener.Addr())
	b.state.TargetGroups = []desired.TargetGroup{newGroup(target)}
	b.group().Protocol, b.group().HealthCheck.Protocol = "HTTPS", "HTTPS"
	b.write()
	b.waitForStatus(target, health.IsHealthy)
	_, body := b.get("/")
	expect(t, "body", body, "secret")

	b.group().Protocol = "HTTP" // TLS answers plain HTTP with no HTTP
	b.write()
	b.waitFor("an answer of its own", func() bool {
		answered, _ := b.get("/")
		return answered.StatusCode == 400
	})
}

func TestPlainTextToAnHTTPSListener(t *testing.T) {
	b := newSecureBed(t, desired.Rule{Priority: desired.Last, Actions: fixed(200, "")})
	connection, err := net.Dial("tcp", b.place())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(deadline))
	_, _ = io.WriteString(connection, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	answered, err := io.ReadAll(connection)
	if err != nil || !strings.HasPrefix(string(answered), "HTTP/1.0 400 ") {
		t.Errorf("%q, %v", answered, err)
	}
}

func TestHealthChecksOverTCP(t *testing.T) {
	b := newBed(t)
	var accepted atomic.Int64
	good := b.raw(func(connection net.Conn) {
		accepted.Add(1)
		connection.Close()
	})
	closed := b.listenTarget()
	closed.Close()
	full := b.full()
	b.state.TargetGroups = []desired.TargetGroup{newGroup(good, targetAt(closed.Addr()), full)}
	b.group().Protocol, b.group().ProtocolVersion = "TCP", ""
	b.group().HealthCheck.Protocol, b.group().HealthCheck.Path, b.group().HealthCheck.Matcher = "TCP", "", ""
	b.write()
	failed := health.Status{State: health.Unhealthy, Reason: "Target.FailedHealthChecks", Description: "Health checks failed"}
	b.waitForStatus(good, health.IsHealthy)
	b.waitForStatus(targetAt(closed.Addr()), failed)
	b.waitForStatus(full, failed)
	if accepted.Load() == 0 {
		t.Error("nobody connected")
	}
}
