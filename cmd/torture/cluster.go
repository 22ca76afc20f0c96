package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"portalhook/storage/postgrestest"
)

// clusterNodes is how many nodes share a database.
const clusterNodes = 3

// takenOverMost is how long the takeover of a node's work may take before the run fails. What is promised is 15 s; the machine of a run has other
// things to do.
const takenOverMost = 30 * time.Second

// cluster is a PostgreSQL on a host of its own, for nodes on theirs.
type cluster struct {
	rig      *rig
	hosts    *hosts
	postgres *postgrestest.Server
	home     *host // of the database
	cables   bool  // nodes reach the database over cables of this process
	nodes    int   // that were made

	databases int // that were made

	watching sync.WaitGroup
	mu       sync.Mutex
	taken    []time.Duration
	failed   error
}

// startCluster starts the database.
func (r *rig) startCluster() error {
	c := &cluster{rig: r, hosts: r.newHosts()}
	r.cluster = c
	var err error
	if c.home, err = c.hosts.host(0); err != nil {
		return err
	}
	c.cables = !c.hosts.own
	c.postgres, err = postgrestest.Start(r.ctx, postgrestest.Options{Listen: c.home.address, Enter: c.home.enter, Settings: []string{"log_min_messages=fatal"}})
	if errors.Is(err, postgrestest.ErrMissing) {
		return fmt.Errorf("%w: %w", errLeftOut, err)
	}
	if err != nil {
		return err
	}
	r.cleanups = append(r.cleanups, func() {
		if err := c.postgres.Stop(); err != nil {
			r.logf("PostgreSQL: %v", err)
		}
	})
	return nil
}

// where says what the hosts are, for the table.
func (c *cluster) where() string {
	if c.hosts.own {
		return "network namespaces"
	}
	return "addresses of loopback's"
}

// here is the address of this process that servers reach.
func (r *rig) here() string {
	if r.cluster != nil {
		return r.cluster.hosts.here
	}
	return "127.0.0.1"
}

// serveCluster starts nodes on one database and gives the first.
func (r *rig) serveCluster(o serverOptions) (*server, error) {
	nodes, err := r.nodes(o, clusterNodes)
	if err != nil {
		return nil, err
	}
	for _, s := range nodes {
		if err := s.start(); err != nil {
			return nil, err
		}
	}
	return nodes[0], nil
}

// nodes makes nodes of one database, which is empty, and does not start them.
func (r *rig) nodes(o serverOptions, n int) ([]*server, error) {
	r.cluster.databases++
	o.store = fmt.Sprintf("portalhook_%d", r.cluster.databases)
	if err := r.cluster.postgres.Create(r.ctx, o.store); err != nil {
		return nil, err
	}
	shared := new(peers)
	for range n {
		if err := r.node(o, shared); err != nil {
			return nil, err
		}
	}
	return shared.all, nil
}

// node makes a further node of a database.
func (r *rig) node(o serverOptions, shared *peers) error {
	c := r.cluster
	c.nodes++
	home, err := c.hosts.host(c.nodes)
	if err != nil {
		return err
	}
	s := r.newServer(o)
	s.listen, s.home, s.cluster, s.peers = home.address+":0", home, c, shared
	shared.all = append(shared.all, s)
	database := c.postgres.Address()
	if c.cables {
		if s.cable, err = r.cable(database); err != nil {
			return err
		}
		database = s.cable.listener.Addr().String()
	}
	s.store = c.postgres.At(database, o.store)
	return nil
}

// peers are the nodes of one database.
type peers struct{ all []*server }

// alive are those whose process is there.
func (p *peers) alive() (alive []*server) {
	for _, s := range p.all {
		if s.gone() == nil {
			alive = append(alive, s)
		}
	}
	return alive
}

// one is any of those whose process is there.
func (p *peers) one(r *rig) *server {
	alive := p.alive()
	if len(alive) == 0 {
		return p.all[0]
	}
	return alive[r.random.IntN(len(alive))]
}

// number asks the database for one number, by its socket, which no cable leads to.
func (c *cluster) number(database, statement string) (int64, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.rig.ctx), 10*time.Second)
	defer cancel()
	return c.postgres.Number(ctx, database, statement)
}

// identify finds out which number a node that has just joined has.
func (c *cluster) identify(s *server) error {
	id, err := c.number(s.options.store, "SELECT max(id) FROM node")
	s.number = id
	return err
}

// watch notes how long it takes from now until others have taken over what a node had in hand.
func (c *cluster) watch(s *server) (takenOver chan struct{}) {
	began, number := time.Now(), s.number
	takenOver = make(chan struct{})
	c.watching.Go(func() {
		defer close(takenOver)
		err := poll(c.rig.ctx, takenOverMost, fmt.Sprintf("the work of node %d is taken over", number), func() (bool, error) {
			left, err := c.number(s.options.store, fmt.Sprintf("SELECT count(*) FROM node WHERE id = %d", number))
			return err == nil && left == 0, err
		})
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.failed = errors.Join(c.failed, err); err == nil {
			c.taken = append(c.taken, time.Since(began))
		}
	})
	return takenOver
}

// watched waits until all that is watched has been taken over.
func (c *cluster) watched() ([]time.Duration, error) {
	c.watching.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.taken, c.failed
}

// cut takes the database away from one node, and nothing else, without a word to either; mend gives it back.
func (s *server) cut() error {
	if s.cable != nil {
		s.cable.sever(true)
		return nil
	}
	return s.cluster.hosts.cut(s.home, s.cluster.home)
}

func (s *server) mend() error {
	if s.cable != nil {
		s.cable.sever(false)
		return nil
	}
	return s.cluster.hosts.mend(s.home, s.cluster.home)
}
