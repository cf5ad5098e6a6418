package alb

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"regexp"
	"strconv"
	"strings"
	"time"

	"eksnet.dev/engine/internal/loadbalancer/rules"
)

// rewrite makes the request to the target from the client's.
func (e *exchange) rewrite(r *httputil.ProxyRequest) {
	s, in, out := e.settings, r.In, r.Out
	// httputil drops what it cannot parse, and headers that only mislead a server that trusts them.
	out.URL.RawQuery = in.URL.RawQuery
	keep(out.Header, in.Header, "Forwarded")
	keep(out.Header, in.Header, "X-Forwarded-Host")
	if s.dropInvalid {
		dropInvalid(out.Header)
	}
	out.Host = s.host(in.Host)
	e.transform = e.rule.Transform(out)
	if isRepeatable(in) {
		markRepeatable(out.Header)
	}
	out.URL.Scheme, out.URL.Host = s.targetScheme(e.target), e.target.HostPort()
	s.setForwarded(out.Header, in)
	traceID := traceHeader(in.Header.Get("X-Amzn-Trace-Id"), time.Now())
	out.Header["X-Amzn-Trace-Id"] = []string{traceID}
	if s.tellTLS && in.TLS != nil {
		out.Header.Set("X-Amzn-Tls-Version", tlsVersions[in.TLS.Version])
		out.Header.Set("X-Amzn-Tls-Cipher-Suite", cipherSuite(in.TLS.CipherSuite))
	}
}

// isRepeatable tells whether a request may be sent again when a target closed its connection meanwhile.
func isRepeatable(r *http.Request) bool {
	return r.ContentLength == 0 && (r.Method == http.MethodPut || r.Method == http.MethodDelete)
}

// markRepeatable tells net/http so, which by itself repeats only what changes nothing. It does not send
// a header without a value.
func markRepeatable(header http.Header) {
	if _, found := header["Idempotency-Key"]; !found {
		header["Idempotency-Key"] = []string{}
	}
}

func keep(out, in http.Header, name string) {
	if values, found := in[name]; found {
		out[name] = values
	}
}

// validName is what AWS takes for a valid name of a header.
var validName = regexp.MustCompile(`^[-A-Za-z0-9]+$`)

func dropInvalid(header http.Header) {
	for name := range header {
		if !validName.MatchString(name) {
			delete(header, name)
		}
	}
}

// host returns the Host header for the target: without a port on the default ports, with the
// listener's on others, or as it was.
func (s *settings) host(given string) string {
	switch {
	case s.preserveHost:
		return given
	case s.port == 80 || s.port == 443:
		return rules.Hostname(given)
	case rules.Hostname(given) == given:
		return given + ":" + strconv.Itoa(s.port)
	default:
		return given
	}
}

// How the header X-Forwarded-For is handled.
const (
	preserve = "preserve"
	remove   = "remove"
)

func (s *settings) setForwarded(header http.Header, in *http.Request) {
	given := in.Header["X-Forwarded-For"]
	switch s.forwardedFor {
	case preserve:
		keep(header, in.Header, "X-Forwarded-For")
	case remove:
	default:
		header["X-Forwarded-For"] = []string{strings.Join(append(given[:len(given):len(given)], s.client(in.RemoteAddr)), ", ")}
	}
	header["X-Forwarded-Proto"] = s.proto
	header["X-Forwarded-Port"] = s.portText
}

// client is how the client's address is told to the target.
func (s *settings) client(remote string) string {
	host, port, err := net.SplitHostPort(remote)
	if err != nil {
		return remote
	}
	if s.clientPort {
		return net.JoinHostPort(host, port)
	}
	return host
}

// forwardedAddresses counts the addresses of an X-Forwarded-For header.
func forwardedAddresses(header http.Header) int {
	count := 0
	for _, value := range header["X-Forwarded-For"] {
		count += strings.Count(value, ",") + 1
	}
	return count
}

// traceHeader returns the header X-Amzn-Trace-Id: a new root, or what came with a field Self before it.
func traceHeader(given string, now time.Time) string {
	if !strings.Contains(given, "Root=") {
		return "Root=" + traceID(now)
	}
	fields := []string{"Self=" + traceID(now)}
	for field := range strings.SplitSeq(given, ";") {
		if field = strings.TrimSpace(field); field != "" && !strings.HasPrefix(field, "Self=") {
			fields = append(fields, field)
		}
	}
	return strings.Join(fields, ";")
}

func traceID(now time.Time) string {
	var random [12]byte
	_, _ = rand.Read(random[:])
	return fmt.Sprintf("1-%08x-%s", now.Unix(), hex.EncodeToString(random[:]))
}

// The names that OpenSSL has for what Go negotiates.
var (
	tlsVersions = map[uint16]string{
		tls.VersionTLS10: "TLSv1", tls.VersionTLS11: "TLSv1.1", tls.VersionTLS12: "TLSv1.2", tls.VersionTLS13: "TLSv1.3",
	}
	cipherSuites = map[uint16]string{
		tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256:   "ECDHE-RSA-AES128-GCM-SHA256",
		tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384:   "ECDHE-RSA-AES256-GCM-SHA384",
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: "ECDHE-ECDSA-AES128-GCM-SHA256",
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384: "ECDHE-ECDSA-AES256-GCM-SHA384",
	}
)

func cipherSuite(id uint16) string {
	if name, found := cipherSuites[id]; found {
		return name
	}
	return tls.CipherSuiteName(id)
}
