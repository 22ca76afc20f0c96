package main

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// nameScenarios are name servers that fail. A name server is ours, so its trouble is not charged to the webhook; a name that does not exist is.
func nameScenarios() []scenario {
	return []scenario{
		{
			name: "dns-fails", about: "the name server answers SERVFAIL and REFUSED, or what is no DNS, and then recovers: no attempt is charged",
			run: namesFail(map[string]nameFault{"servfail": refuses(dnsmessage.RCodeServerFailure), "refused": refuses(dnsmessage.RCodeRefused), "garbage": garbles}),
		},
		{
			name: "dns-silent", about: "the name server says nothing for longer than an attempt may take, and then recovers: no attempt is charged",
			run: namesFail(map[string]nameFault{"silent": keepsSilent}),
		},
		{name: "dns-slow", about: "the name server takes a third of a second for every answer", run: namesSlow},
		{name: "dns-nxdomain", about: "the name does not exist: attempts are charged until none is left", run: namesUnknown},
	}
}

// nameFault changes an answer of the name server; nil is none at all.
type nameFault func(packed *dnsmessage.Message) ([]byte, error)

func refuses(code dnsmessage.RCode) nameFault {
	return func(m *dnsmessage.Message) ([]byte, error) {
		m.RCode, m.Answers = code, nil
		return m.Pack()
	}
}

func keepsSilent(*dnsmessage.Message) ([]byte, error) { return nil, nil }

func garbles(m *dnsmessage.Message) ([]byte, error) {
	packed, err := m.Pack()
	return packed[:len(packed)/2], err
}

func delays(by time.Duration) nameFault {
	return func(m *dnsmessage.Message) ([]byte, error) {
		<-time.After(by)
		return m.Pack()
	}
}

// names is a DNS server, for which every name is this process's address, but for the faults.
type names struct {
	conn net.PacketConn
	at   netip.Addr // of every name

	mu     sync.Mutex
	faults map[string]nameFault // by the first label
	asked  map[string]int
}

const namesDomain = ".receivers.test"

func (r *rig) names(faults map[string]nameFault) (*names, error) {
	conn, err := new(net.ListenConfig).ListenPacket(r.ctx, "udp", net.JoinHostPort(r.here(), "0"))
	if err != nil {
		return nil, err
	}
	r.cleanups = append(r.cleanups, func() { _ = conn.Close() })
	d := &names{conn: conn, at: netip.MustParseAddr(r.here()), faults: faults, asked: map[string]int{}}
	go d.serve()
	return d, nil
}

func (d *names) serve() {
	for {
		query := make([]byte, 4096)
		n, from, err := d.conn.ReadFrom(query)
		if err != nil {
			return
		}
		go func() {
			if reply, err := d.reply(query[:n]); err == nil && reply != nil {
				_, _ = d.conn.WriteTo(reply, from)
			}
		}()
	}
}

func (d *names) reply(query []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil {
		return nil, err
	}
	if len(m.Questions) != 1 {
		return nil, fmt.Errorf("%d questions", len(m.Questions))
	}
	question := m.Questions[0]
	m.Response, m.Additionals = true, nil
	label, domain, _ := strings.Cut(strings.TrimSuffix(question.Name.String(), "."), ".")
	switch {
	case "."+domain != namesDomain:
		m.RCode = dnsmessage.RCodeNameError
	case question.Type == dnsmessage.TypeA:
		header := dnsmessage.ResourceHeader{Name: question.Name, Type: question.Type, Class: dnsmessage.ClassINET, TTL: 1}
		m.Answers = []dnsmessage.Resource{{Header: header, Body: &dnsmessage.AResource{A: d.at.As4()}}}
	}
	d.mu.Lock()
	d.asked[label]++
	fault := d.faults[label]
	d.mu.Unlock()
	if fault == nil {
		return m.Pack()
	}
	return fault(&m)
}

// recover ends all faults.
func (d *names) recover() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = nil
}

// times is how often a name was asked for.
func (d *names) times(label string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked[label]
}

// named is a receiver that is reached by a name.
func (r *rig) named(s *server, label, only string, members ...map[string]any) (*receiver, error) {
	v, err := r.newReceiver(label)
	if err != nil {
		return nil, err
	}
	v.only = only
	r.open(v, nil)
	_, port, err := net.SplitHostPort(v.server.Listener.Addr().String())
	if err != nil {
		return nil, err
	}
	return v, r.subscribe(s, v, "http://"+label+namesDomain+":"+port+"/", members...)
}

// misnamed is a server with a name server of ours, a healthy receiver that is reached by a name, and one for each fault.
func (r *rig) misnamed(faults map[string]nameFault, members map[string]any) (*server, *names, []*receiver, error) {
	d, err := r.names(faults)
	if err != nil {
		return nil, nil, nil, err
	}
	s, err := r.serve(serverOptions{args: []string{"--resolver", d.conn.LocalAddr().String()}})
	if err != nil {
		return nil, nil, nil, err
	}
	if _, err := r.named(s, "healthy", ""); err != nil {
		return nil, nil, nil, err
	}
	var sick []*receiver
	for label := range faults {
		v, err := r.named(s, label, sickOperation, members)
		if err != nil {
			return nil, nil, nil, err
		}
		sick = append(sick, v)
	}
	r.account.faults += len(sick)
	return s, d, sick, nil
}

// namesFail has the name server fail for some names while events come, and recover when each has failed and all else has arrived.
func namesFail(faults map[string]nameFault) func(*rig) error {
	return func(r *rig) error {
		s, d, sick, err := r.misnamed(faults, retries(2))
		if err != nil {
			return err
		}
		few := r.emit(s, sickEvents, loadOptions{operation: sickOperation, conns: 1})
		many := r.emit(s, r.size.events/besides, loadOptions{})
		if err := firstError(few.wait, many.wait); err != nil {
			return err
		}
		healthy := r.receivers[0]
		err = poll(r.ctx, time.Minute, "the healthy receiver gets everything meanwhile", func() (bool, error) {
			return healthy.arrivals() == many.events+few.events, nil
		})
		if err != nil {
			return err
		}
		for _, v := range sick {
			err := poll(r.ctx, time.Minute, "the ledger says that it is the name server, and charges nothing", func() (bool, error) {
				delivery, err := s.match(v, few, 0)
				return err == nil && delivery.State == "waiting" && delivery.Attempts == 0 && strings.Contains(delivery.Reason, "name server"),
					fmt.Errorf("%s: %+v, %w", v.name, delivery, err)
			})
			if err != nil {
				return err
			}
		}
		d.recover()
		if err := r.settle(s, 2*time.Minute); err != nil {
			return err
		}
		for _, v := range sick {
			if err := r.audit(s, v, few, func(int) fate { return arrived() }); err != nil {
				return err
			}
		}
		return nil
	}
}

// namesSlow has every look-up of one name take a third of a second: its deliveries arrive, and the ledger says how long that took.
func namesSlow(r *rig) error {
	const slow = time.Second / 3
	s, _, sick, err := r.misnamed(map[string]nameFault{"slow": delays(slow)}, retries(2))
	if err != nil {
		return err
	}
	v := sick[0]
	few := r.emit(s, sickEvents, loadOptions{operation: sickOperation, conns: 1})
	many := r.emit(s, r.size.events/besides, loadOptions{})
	settle := func() error { return r.settle(s, time.Minute) }
	if err := firstError(few.wait, many.wait, settle); err != nil {
		return err
	}
	if err := r.audit(s, v, few, func(int) fate { return arrived() }); err != nil {
		return err
	}
	record, err := s.record(v, few, 0)
	if err != nil {
		return err
	}
	if took := record.AttemptLog[0].DNS; took < float64(slow.Milliseconds()) {
		return fmt.Errorf("the ledger says that the look-up took %f ms, and it took %s", took, slow)
	}
	return nil
}

// namesUnknown has a name that does not exist.
func namesUnknown(r *rig) error {
	s, d, sick, err := r.misnamed(map[string]nameFault{"unknown": refuses(dnsmessage.RCodeNameError)}, oneAttempt)
	if err != nil {
		return err
	}
	sick[0].sick = true
	few := r.emit(s, sickEvents, loadOptions{operation: sickOperation, conns: 1})
	many := r.emit(s, r.size.events/besides, loadOptions{})
	settle := func() error { return r.settle(s, time.Minute) }
	if err := firstError(few.wait, many.wait, settle); err != nil {
		return err
	}
	if d.times("unknown") == 0 {
		return fmt.Errorf("nobody asked for the name")
	}
	return r.audit(s, sick[0], few, func(int) fate { return exhausted(1, "no-such-host") })
}
