package alb

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"fmt"
	"regexp"
	"strings"

	"eksnet.dev/engine/internal/loadbalancer/desired"
)

// certificates are those of an HTTPS listener; the first is the default one.
type certificates []*tls.Certificate

func loadCertificates(given []desired.Certificate) (certificates, error) {
	var all certificates
	for _, one := range given {
		pair, err := tls.X509KeyPair([]byte(one.Chain), []byte(one.Key))
		if err != nil {
			return nil, fmt.Errorf("certificate %s: %w", one.ARN, err)
		}
		if one.Default {
			all = append(certificates{&pair}, all...)
		} else {
			all = append(all, &pair)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("an HTTPS listener without a certificate")
	}
	return all, nil
}

// choose returns the best certificate for the name that a client asks for, or the default one when
// none is for that name. The order of what counts is AWS's, after how exact the name is.
func (c certificates) choose(hello *tls.ClientHelloInfo) *tls.Certificate {
	var best *tls.Certificate
	for _, candidate := range c {
		if candidate.Leaf.VerifyHostname(hello.ServerName) != nil || hello.SupportsCertificate(candidate) != nil {
			continue
		}
		if best == nil || better(candidate, best, hello.ServerName) {
			best = candidate
		}
	}
	if best == nil {
		return c[0]
	}
	return best
}

func better(a, b *tls.Certificate, name string) bool {
	if exactA, exactB := isExact(a, name), isExact(b, name); exactA != exactB {
		return exactA
	}
	kindA, bitsA := publicKey(a)
	kindB, bitsB := publicKey(b)
	switch {
	case kindA != kindB:
		return kindA == "ECDSA"
	case bitsA != bitsB:
		return bitsA > bitsB
	default:
		return a.Leaf.NotAfter.After(b.Leaf.NotAfter)
	}
}

func isExact(certificate *tls.Certificate, name string) bool {
	for _, own := range certificate.Leaf.DNSNames {
		if strings.EqualFold(own, name) {
			return true
		}
	}
	return false
}

func publicKey(certificate *tls.Certificate) (kind string, bits int) {
	switch key := certificate.Leaf.PublicKey.(type) {
	case *ecdsa.PublicKey:
		return "ECDSA", key.Params().BitSize
	case *rsa.PublicKey:
		return "RSA", key.N.BitLen()
	default:
		return "", 0
	}
}

// tlsConfig returns how a listener speaks TLS.
func tlsConfig(listener desired.Listener, http2 bool) (*tls.Config, error) {
	all, err := loadCertificates(listener.Certificates)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) { return all.choose(hello), nil },
		NextProtos:     []string{"http/1.1"},
	}
	if http2 {
		config.NextProtos = []string{"h2", "http/1.1"}
	}
	config.MinVersion, config.MaxVersion = versions(listener.SSLPolicy)
	return config, nil
}

// oldestVersion finds the oldest version of TLS in a security policy's name, as in
// ELBSecurityPolicy-TLS13-1-2-2021-06. Those without one go back to TLS 1.0.
var oldestVersion = regexp.MustCompile(`-1-([1-3])-`)

func versions(policy string) (oldest, newest uint16) {
	oldest, newest = tls.VersionTLS10, tls.VersionTLS12
	if strings.Contains(policy, "TLS13") {
		newest = tls.VersionTLS13
	}
	if found := oldestVersion.FindStringSubmatch(policy); found != nil {
		oldest += uint16(found[1][0] - '0')
	}
	return oldest, newest
}
