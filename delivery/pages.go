package delivery

import (
	"sync"
	"sync/atomic"
)

// pages maps webhook keys, which are small and dense, to their entries. Reading takes no lock.
type pages struct {
	growing sync.Mutex
	list    atomic.Pointer[[]*page]
}

const pageSize = 1024

type page [pageSize]atomic.Pointer[entry]

func (p *pages) get(key uint32) *entry {
	list := p.list.Load()
	if list == nil || int(key/pageSize) >= len(*list) {
		return nil
	}
	return (*list)[key/pageSize][key%pageSize].Load()
}

func (p *pages) set(key uint32, e *entry) {
	p.growing.Lock()
	defer p.growing.Unlock()
	var list []*page
	if old := p.list.Load(); old != nil {
		list = *old
	}
	if need := int(key/pageSize) + 1; need > len(list) {
		grown := make([]*page, need)
		for i := copy(grown, list); i < need; i++ {
			grown[i] = new(page)
		}
		list = grown
		p.list.Store(&grown)
	}
	list[key/pageSize][key%pageSize].Store(e)
}

// each calls visit for every entry.
func (p *pages) each(visit func(*entry)) {
	list := p.list.Load()
	if list == nil {
		return
	}
	for _, page := range *list {
		for i := range page {
			if e := page[i].Load(); e != nil {
				visit(e)
			}
		}
	}
}
