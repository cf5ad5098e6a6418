package alb

import (
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"

	"eksnet.dev/engine/internal/loadbalancer/desired"
	"eksnet.dev/engine/internal/loadbalancer/rules"
	"eksnet.dev/engine/internal/loadbalancer/targets"
)

// maxForwarded is how many addresses an X-Forwarded-For header may have.
const maxForwarded = 30

// ServeHTTP answers one request by the listener's rules.
func (l *listener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := l.settings.Load()
	if status := refuse(r); status != 0 {
		s.answer(w, r, status, "the request is refused")
		return
	}
	rule := s.rules.Find(r)
	if rule == nil {
		s.answer(w, r, http.StatusServiceUnavailable, "no rule, not even a default one")
		return
	}
	if rule.Before != "" {
		s.answer(w, r, http.StatusInternalServerError, "actions of the type "+rule.Before+" are missing here")
		return
	}
	switch action := rule.Action; action.Type {
	case "forward":
		l.forward(w, r, s, rule)
	case "redirect":
		s.redirect(w, r, action.RedirectConfig)
	case "fixed-response":
		s.respond(w, r, action.FixedResponseConfig)
	default:
		s.answer(w, r, http.StatusInternalServerError, "actions of the type "+action.Type+" are missing here")
	}
}

// refuse returns the status of a request that no rule is asked about, or 0.
func refuse(r *http.Request) int {
	switch {
	case r.Method == "PRI":
		return http.StatusHTTPVersionNotSupported // the first line of HTTP/2 where HTTP/1 is spoken
	case r.Method == http.MethodTrace, r.Method == http.MethodConnect:
		return http.StatusMethodNotAllowed
	case forwardedAddresses(r.Header) > maxForwarded:
		return statusTooManyForwarded
	default:
		return 0
	}
}

// answer sends an error of the load balancer's own, and says why in the log.
func (s *settings) answer(w http.ResponseWriter, r *http.Request, status int, why string) {
	log.Printf("%s: %s %s%s: %d: %s", s.name, r.Method, r.Host, r.URL.Path, status, why)
	s.write(w, status, "text/html", page(status))
}

func (s *settings) redirect(w http.ResponseWriter, r *http.Request, config *desired.RedirectConfig) {
	if config == nil {
		s.answer(w, r, http.StatusInternalServerError, "a redirect without a configuration")
		return
	}
	status, location := rules.Redirect(*config, r, s.protocol, s.port)
	w.Header().Set("Location", location)
	s.write(w, status, "text/html", page(status))
}

func (s *settings) respond(w http.ResponseWriter, r *http.Request, config *desired.FixedResponseConfig) {
	if config == nil || config.StatusCode < 200 || config.StatusCode > 599 {
		s.answer(w, r, http.StatusInternalServerError, "a fixed response without a status code")
		return
	}
	contentType := config.ContentType
	if contentType == "" {
		contentType = "text/plain"
	}
	s.write(w, int(config.StatusCode), contentType+"; charset=utf-8", config.MessageBody)
}

// forward chooses a target group and a target, and sends the request there.
func (l *listener) forward(w http.ResponseWriter, r *http.Request, s *settings, rule *rules.Rule) {
	node := s.nodeOf(r)
	group, cookies := l.chooseGroup(r, rule.Action)
	if group == nil {
		s.answer(w, r, http.StatusServiceUnavailable, "the rule has no target group that gets requests")
		return
	}
	if !compatible(r, group.Version()) {
		s.answer(w, r, statusIncompatibleProto, r.Proto+" to a target group with "+group.Version())
		return
	}
	target, bound := chooseTarget(r, group, node.Zone)
	if target == nil {
		s.answer(w, r, http.StatusServiceUnavailable, "the target group "+group.Settings().Name+" has no target that could get requests")
		return
	}
	e := &exchange{settings: s, rule: rule, target: target, node: node, cookies: append(cookies, bound...)}
	e.forward(w, r)
}

// nodeOf returns the node that took the request: the one whose address the client connected to.
func (s *settings) nodeOf(r *http.Request) targets.Node {
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
		if node, found := s.nodes[local.AddrPort().Addr().Unmap()]; found {
			return node
		}
	}
	return s.first
}

// pickWeighted returns a target group at random, by the groups' weights.
func pickWeighted(groups []desired.WeightedGroup) string {
	sum := 0
	for _, group := range groups {
		sum += weight(group)
	}
	if sum == 0 {
		return ""
	}
	drawn := rand.IntN(sum)
	for _, group := range groups {
		if drawn -= weight(group); drawn < 0 {
			return group.TargetGroupARN
		}
	}
	return ""
}

func weight(group desired.WeightedGroup) int {
	if group.Weight == nil {
		return 1
	}
	return int(*group.Weight)
}

// weightedGroups returns an action's target groups from where they stand.
func weightedGroups(action desired.Action) []desired.WeightedGroup {
	if action.ForwardConfig != nil && len(action.ForwardConfig.TargetGroups) > 0 {
		return action.ForwardConfig.TargetGroups
	}
	return []desired.WeightedGroup{{TargetGroupARN: action.TargetGroupARN}}
}

// compatible tells whether a request can be sent in a target group's protocol version, by AWS's table.
func compatible(r *http.Request, version string) bool {
	isGRPC := r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc")
	switch version {
	case targets.HTTP2:
		return r.ProtoMajor == 2
	case targets.GRPC:
		return r.ProtoMajor == 2 && r.Method == http.MethodPost
	default:
		return !isGRPC
	}
}
