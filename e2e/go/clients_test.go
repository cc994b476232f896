// SPDX-License-Identifier: Apache-2.0

// What stands on top of the Go client and has no examples: as its documentation says it behaves.
package suite

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/clientv3"
	"go.etcd.io/etcd/clientv3/concurrency"
	"go.etcd.io/etcd/clientv3/leasing"
	"go.etcd.io/etcd/clientv3/mirror"
	"go.etcd.io/etcd/clientv3/namespace"
	"go.etcd.io/etcd/clientv3/ordering"
	"go.etcd.io/etcd/etcdserver/api/v3rpc/rpctypes"
	"go.etcd.io/etcd/pkg/transport"
)

func dial(t *testing.T) (*clientv3.Client, context.Context) {
	info := transport.TLSInfo{CertFile: os.Getenv("CERT"), KeyFile: os.Getenv("KEY"),
		TrustedCAFile: os.Getenv("CA")}
	tls, err := info.ClientConfig()
	must(t, err)
	client, err := clientv3.New(clientv3.Config{Endpoints: strings.Split(os.Getenv("SECURE"), ","),
		TLS: tls, DialTimeout: time.Minute})
	must(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(func() { cancel(); client.Close() })
	return client, ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal(t *testing.T, wanted, got interface{}) {
	t.Helper()
	if fmt.Sprint(wanted) != fmt.Sprint(got) {
		t.Fatalf("wanted %v, got %v", wanted, got)
	}
}

func TestNamespace(t *testing.T) {
	client, ctx := dial(t)
	kv := namespace.NewKV(client, "ns/")
	watcher := namespace.NewWatcher(client, "ns/")
	events := watcher.Watch(ctx, "", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	<-events
	_, err := kv.Put(ctx, "a", "1")
	must(t, err)
	got, err := client.Get(ctx, "ns/a")
	must(t, err)
	equal(t, "1", string(got.Kvs[0].Value))
	event := (<-events).Events[0]
	equal(t, "PUT a", fmt.Sprint(event.Type, " ", string(event.Kv.Key)))
	txn, err := kv.Txn(ctx).If(clientv3.Compare(clientv3.Value("a"), "=", "1")).
		Then(clientv3.OpDelete("", clientv3.WithFromKey()), clientv3.OpPut("b", "2")).Commit()
	if err != rpctypes.ErrDuplicateKey {
		must(t, err)
		equal(t, true, txn.Succeeded)
	}
	deleted, err := kv.Delete(ctx, "\x00", clientv3.WithFromKey(), clientv3.WithPrevKV())
	must(t, err)
	equal(t, 1, deleted.Deleted)
}

func TestLeasing(t *testing.T) {
	client, ctx := dial(t)
	one, closeOne, err := leasing.NewKV(client, "leases/")
	must(t, err)
	defer closeOne()
	two, closeTwo, err := leasing.NewKV(client, "leases/")
	must(t, err)
	defer closeTwo()
	_, err = one.Put(ctx, "leased", "1")
	must(t, err)
	for i := 0; i < 3; i++ { // the second answer comes out of its cache
		got, err := one.Get(ctx, "leased")
		must(t, err)
		equal(t, "1", string(got.Kvs[0].Value))
	}
	_, err = two.Put(ctx, "leased", "2") // takes the key's lease from one
	must(t, err)
	got, err := one.Get(ctx, "leased")
	must(t, err)
	equal(t, "2", string(got.Kvs[0].Value))
	txn, err := two.Txn(ctx).If(clientv3.Compare(clientv3.Value("leased"), "=", "2")).
		Then(clientv3.OpDelete("leased")).Commit()
	must(t, err)
	equal(t, true, txn.Succeeded)
	got, err = one.Get(ctx, "leased")
	must(t, err)
	equal(t, 0, got.Count)
}

func TestMirror(t *testing.T) {
	client, ctx := dial(t)
	for i := 0; i < 2500; i++ { // more than a page of its
		_, err := client.Put(ctx, fmt.Sprintf("mirrored/%04d", i), "1")
		must(t, err)
	}
	syncer := mirror.NewSyncer(client, "mirrored/", 0)
	pages, errors := syncer.SyncBase(ctx)
	count := 0
	for page := range pages {
		count += len(page.Kvs)
	}
	must(t, <-errors)
	equal(t, 2500, count)
	updates := syncer.SyncUpdates(ctx)
	_, err := client.Put(ctx, "mirrored/new", "2")
	must(t, err)
	equal(t, "mirrored/new", string((<-updates).Events[0].Kv.Key))
}

func TestOrdering(t *testing.T) {
	client, ctx := dial(t)
	kv := ordering.NewKV(client, ordering.NewOrderViolationSwitchEndpointClosure(client))
	last := int64(0)
	for i := 0; i < 50; i++ {
		_, err := client.Put(ctx, "ordered", fmt.Sprint(i))
		must(t, err)
		got, err := kv.Get(ctx, "ordered", clientv3.WithSerializable())
		must(t, err)
		if got.Header.Revision < last {
			t.Fatalf("revision %d after %d", got.Header.Revision, last)
		}
		last = got.Header.Revision
	}
}

func TestMutexExcludes(t *testing.T) {
	client, ctx := dial(t)
	var all sync.WaitGroup
	inside, most := 0, 0
	var guard sync.Mutex
	for i := 0; i < 8; i++ {
		session, err := concurrency.NewSession(client, concurrency.WithTTL(600))
		must(t, err)
		defer session.Close()
		all.Add(1)
		go func() {
			defer all.Done()
			mutex := concurrency.NewMutex(session, "mutex")
			for round := 0; round < 5; round++ {
				if err := mutex.Lock(ctx); err != nil {
					t.Error(err)
					return
				}
				guard.Lock()
				if inside++; inside > most {
					most = inside
				}
				guard.Unlock()
				guard.Lock()
				inside--
				guard.Unlock()
				if err := mutex.Unlock(ctx); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	all.Wait()
	equal(t, 1, most)
}

func TestStmAddsUp(t *testing.T) {
	client, ctx := dial(t)
	_, err := client.Put(ctx, "sum", "0")
	must(t, err)
	var all sync.WaitGroup
	for _, level := range []concurrency.Isolation{concurrency.SerializableSnapshot,
		concurrency.Serializable, concurrency.RepeatableReads} {
		for i := 0; i < 4; i++ {
			all.Add(1)
			go func(level concurrency.Isolation) {
				defer all.Done()
				for round := 0; round < 5; round++ {
					_, err := concurrency.NewSTM(client, func(stm concurrency.STM) error {
						var sum int
						fmt.Sscan(stm.Get("sum"), &sum)
						stm.Put("sum", fmt.Sprint(sum+1))
						return nil
					}, concurrency.WithIsolation(level), concurrency.WithAbortContext(ctx))
					if err != nil {
						t.Error(err)
					}
				}
			}(level)
		}
	}
	all.Wait()
	got, err := client.Get(ctx, "sum")
	must(t, err)
	equal(t, "60", string(got.Kvs[0].Value))
}

func TestElectionIsObserved(t *testing.T) {
	client, ctx := dial(t)
	sessions := [2]*concurrency.Session{}
	for i := range sessions {
		session, err := concurrency.NewSession(client, concurrency.WithTTL(600))
		must(t, err)
		sessions[i] = session
	}
	first := concurrency.NewElection(sessions[0], "chair")
	second := concurrency.NewElection(sessions[1], "chair")
	must(t, first.Campaign(ctx, "first"))
	leaders := second.Observe(ctx)
	equal(t, "first", string((<-leaders).Kvs[0].Value))
	won := make(chan error, 1)
	go func() { won <- second.Campaign(ctx, "second") }()
	must(t, first.Proclaim(ctx, "still first"))
	equal(t, "still first", string((<-leaders).Kvs[0].Value))
	must(t, sessions[0].Close()) // its lease goes, and with it the chair
	must(t, <-won)
	equal(t, "second", string((<-leaders).Kvs[0].Value))
	must(t, second.Resign(ctx))
	_, err := second.Leader(ctx)
	equal(t, concurrency.ErrElectionNoLeader, err)
}

func TestWatchGoesOnAndEnds(t *testing.T) {
	client, ctx := dial(t)
	put, err := client.Put(ctx, "watched", strings.Repeat("x", 1<<20))
	must(t, err)
	for i := 0; i < 4; i++ {
		_, err = client.Put(ctx, "watched", strings.Repeat("y", 1<<20))
		must(t, err)
	}
	events := client.Watch(ctx, "watched", clientv3.WithRev(put.Header.Revision),
		clientv3.WithPrevKV(), clientv3.WithFragment())
	for seen := 0; seen < 5; {
		answer := <-events
		must(t, answer.Err())
		seen += len(answer.Events)
	}
	_, err = client.Compact(ctx, put.Header.Revision+3, clientv3.WithCompactPhysical())
	must(t, err)
	answer := <-client.Watch(ctx, "watched", clientv3.WithRev(put.Header.Revision))
	equal(t, rpctypes.ErrCompacted, answer.Err())
	equal(t, put.Header.Revision+3, answer.CompactRevision)
	_, err = client.Get(ctx, "watched", clientv3.WithRev(put.Header.Revision))
	equal(t, rpctypes.ErrCompacted, err)
}
