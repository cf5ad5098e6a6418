package loadbalancer

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"eksnet.dev/engine/internal/loadbalancer/desired"
)

// lifetime is how many seconds a client may keep an answer, as on AWS.
const lifetime = 60

// record is an address of a load balancer's name.
type record struct{ name, address string }

// recordsOf returns what the VPC's resolver answers: an internet-facing load balancer has its public
// addresses inside too. A Network Load Balancer has a name for each zone beside its own.
func recordsOf(balancer desired.LoadBalancer, zone desired.Zone) []record {
	address := zone.Public
	if balancer.Internal() || address == "" {
		address = zone.Private
	}
	name := strings.ToLower(balancer.DNSName)
	records := []record{{name, address}}
	if balancer.Type == desired.Network {
		records = append(records, record{zone.Zone + "." + name, address})
	}
	return records
}

// origins are the domains of load balancers' names in a region, by the names of their zone files: those of
// Application and of Network Load Balancers.
func origins(region string) map[string]string {
	return map[string]string{
		"zone":         region + ".elb.amazonaws.com.",
		"network-zone": "elb." + region + ".amazonaws.com.",
	}
}

// zone is a zone file.
type zone struct {
	serial int64
	// written is the file without its serial.
	written string
}

// write writes the file when a record changed. Its serial grows each time: CoreDNS looks at nothing else.
func (z *zone) write(path, origin string, records []record) error {
	serial := max(z.serial+1, time.Now().Unix())
	withSerial := func(serial int64) string {
		return fmt.Sprintf("$ORIGIN %s\n$TTL %d\n@ IN SOA ns. hostmaster ( %d 3600 600 86400 %d )\n@ IN NS ns.\n%s",
			origin, lifetime, serial, lifetime, zoneBody(origin, records))
	}
	if withSerial(0) == z.written {
		return nil
	}
	if err := replace(path, []byte(withSerial(serial))); err != nil {
		return err
	}
	z.serial, z.written = serial, withSerial(0)
	return nil
}

func zoneBody(origin string, records []record) string {
	var lines []string
	for _, r := range records {
		if name := r.name + "."; r.name != "" && strings.HasSuffix(name, "."+origin) {
			lines = append(lines, fmt.Sprintf("%s %d IN A %s\n", name, lifetime, r.address))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}
