// Package health asks targets whether they are healthy, and counts the answers as a load balancer does.
package health

// State is a target's state, as DescribeTargetHealth gives it.
type State string

// The states of a registered target.
const (
	Initial     State = "initial"
	Healthy     State = "healthy"
	Unhealthy   State = "unhealthy"
	Unused      State = "unused"
	Draining    State = "draining"
	Unavailable State = "unavailable"
)

// Status is a state and why a target is in it.
type Status struct {
	State       State  `json:"state"`
	Reason      string `json:"reason"`
	Description string `json:"description"`
}

// The statuses that need no check. Reasons and descriptions are those that AWS documents.
var (
	InitialChecking = Status{Initial, "Elb.InitialHealthChecking", "Initial health checks in progress"}
	IsHealthy       = Status{State: Healthy}
	NotUsed         = Status{Unused, "Target.NotInUse", "Target group is not configured to receive traffic from the load balancer"}
	ZoneNotEnabled  = Status{Unused, "Target.NotInUse", "Target is in an Availability Zone that is not enabled for the load balancer"}
	IsDraining      = Status{Draining, "Target.DeregistrationInProgress", "Target deregistration is in progress"}
	NotChecked      = Status{Unavailable, "Target.HealthCheckDisabled", "Health checks are disabled"}
)

// Machine turns the results of checks into a status. The zero value is a new target.
type Machine struct {
	status Status
	passed int
	failed int
}

// Resume is the machine of a target whose status is known from before a restart.
func Resume(status Status) Machine { return Machine{status: status} }

// Status returns what the checks so far amount to.
func (m *Machine) Status() Status {
	if m.status == (Status{}) {
		return InitialChecking
	}
	return m.status
}

// Note counts one check. A new target is healthy after one that passed; everything else takes as many
// in a row as the thresholds say. An unhealthy target's reason is that of the last check that failed.
func (m *Machine) Note(outcome Outcome, healthy, unhealthy int) {
	if outcome.Passed() {
		m.passed, m.failed = m.passed+1, 0
		if m.Status().State == Initial || m.passed >= healthy {
			m.status = IsHealthy
		}
		return
	}
	m.passed, m.failed = 0, m.failed+1
	if m.Status().State == Unhealthy || m.failed >= unhealthy {
		m.status = Status(outcome)
	}
}
