package alb

import (
	"cmp"
	"crypto/tls"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"eksnet.dev/engine/internal/loadbalancer/desired"
	"eksnet.dev/engine/internal/loadbalancer/rules"
	"eksnet.dev/engine/internal/loadbalancer/targets"
)

// settings are a listener as it is desired at a moment, ready for requests. They are never changed,
// only replaced: a request keeps those with which it began.
type settings struct {
	// name is for the log.
	name     string
	protocol string
	port     int
	// proto and portText are values of headers.
	proto, portText []string
	rules           rules.Rules
	tls             *tls.Config
	http2           bool
	idle            time.Duration
	// nodes are the load balancer's interfaces, by each of their addresses.
	nodes map[netip.Addr]targets.Node
	first targets.Node

	preserveHost, dropInvalid, clientPort, tellTLS, hideServer bool
	// forwardedFor is append, preserve or remove.
	forwardedFor string
	// headers are added to each answer.
	headers map[string]string
}

const secure = "HTTPS"

func newSettings(balancer desired.LoadBalancer, listener desired.Listener) (*settings, error) {
	attributes := balancer.Attributes
	s := &settings{
		name:         balancer.Name + ":" + strconv.Itoa(listener.Port),
		protocol:     listener.Protocol,
		port:         listener.Port,
		proto:        []string{strings.ToLower(listener.Protocol)},
		portText:     []string{strconv.Itoa(listener.Port)},
		idle:         attributes.Seconds("idle_timeout.timeout_seconds", 60),
		http2:        attributes.Enabled("routing.http2.enabled", true),
		preserveHost: attributes.Enabled("routing.http.preserve_host_header.enabled", false),
		dropInvalid:  attributes.Enabled("routing.http.drop_invalid_header_fields.enabled", false),
		clientPort:   attributes.Enabled("routing.http.xff_client_port.enabled", false),
		tellTLS:      attributes.Enabled("routing.http.x_amzn_tls_version_and_cipher_suite.enabled", false),
		forwardedFor: cmp.Or(attributes["routing.http.xff_header_processing.mode"], "append"),
		hideServer:   !listener.Attributes.Enabled("routing.http.response.server.enabled", true),
		headers:      addedHeaders(listener.Attributes),
	}
	if err := s.readNodes(balancer); err != nil {
		return nil, err
	}
	var err error
	if s.rules, err = rules.Compile(listener.Rules); err != nil {
		return nil, err
	}
	if s.protocol == secure {
		s.tls, err = tlsConfig(listener, s.http2)
	}
	return s, err
}

func (s *settings) readNodes(balancer desired.LoadBalancer) error {
	s.nodes = map[netip.Addr]targets.Node{}
	for _, zone := range balancer.Zones {
		private, err := netip.ParseAddr(zone.Private)
		if err != nil {
			return err
		}
		node := targets.Node{Zone: zone.Zone, Address: private}
		if !s.first.Address.IsValid() {
			s.first = node
		}
		for _, text := range zone.Addresses() {
			address, err := netip.ParseAddr(text)
			if err != nil {
				return err
			}
			s.nodes[address] = node
		}
	}
	return nil
}

// addedHeaders reads the attributes routing.http.response.NAME.header_value.
func addedHeaders(attributes desired.Attributes) map[string]string {
	all := map[string]string{}
	for attribute, value := range attributes {
		name, isResponse := strings.CutPrefix(attribute, "routing.http.response.")
		name, isValue := strings.CutSuffix(name, ".header_value")
		if isResponse && isValue && value != "" {
			all[http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-"))] = value
		}
	}
	return all
}

// modifyHeader changes the header of an answer as the listener's attributes say.
func (s *settings) modifyHeader(header http.Header) {
	for name, value := range s.headers {
		header.Set(name, value)
	}
	if s.hideServer {
		header.Del("Server")
	}
}

// targetScheme is how a target is spoken to.
func (s *settings) targetScheme(target *targets.Target) string {
	return strings.ToLower(target.Protocol())
}

// serverKey tells whether two settings can share an http.Server, whose own settings cannot change.
type serverKey struct {
	protocol string
	idle     time.Duration
}

func (s *settings) serverKey() serverKey { return serverKey{s.protocol, s.idle} }
