// The tutorial's consumer: a handler puts events into a queue, and one loop writes them in batches of at most 50 events or 5 s, with
// one INSERT … ON CONFLICT for each event, in one transaction.
//
//	tutorial -listen 127.0.0.1:PORT -database 'host=… user=…' [-honest]
//
// As it is, it answers 200 as soon as the events are queued. It guarantees nothing then: what is queued, or in a batch that fails, is
// lost. The queue is bounded, so that under load its handlers wait for the database, too, and the memory does not grow.
// With -honest it answers when the batches that hold the request's events are committed, with 503 if one of them failed; a request of
// more than one batch may be written in part then, which a retry cures.
//
// Either way an older event overwrites a newer one, an absent field clears its column, a repeated event is written again, and one bad
// event spoils its batch. The tutorial's metrics and its registration are left out: they would only cost it time.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/jackc/pgx/v4/pgxpool"
)

const (
	batchSize     = 50
	flushInterval = 5 * time.Second
	queueSize     = 1000
)

const upsert = `
INSERT INTO cxone_sync.contact_records (id, external_id, first_name, last_name, email, updated_ts)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (id) DO UPDATE SET
    external_id = EXCLUDED.external_id,
    first_name = EXCLUDED.first_name,
    last_name = EXCLUDED.last_name,
    email = EXCLUDED.email,
    updated_ts = EXCLUDED.updated_ts`

// ContactEvent is what CXone sends.
type ContactEvent struct {
	ID         string    `json:"id"`
	ExternalID *string   `json:"externalId"`
	FirstName  *string   `json:"firstName"`
	LastName   *string   `json:"lastName"`
	Email      *string   `json:"email"`
	Timestamp  time.Time `json:"timestamp"`
}

type queued struct {
	event ContactEvent
	done  chan<- error // nil unless somebody waits
}

type consumer struct {
	pool   *pgxpool.Pool
	queue  chan queued
	honest bool
}

func (c *consumer) webhook(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	var payload struct {
		Events []ContactEvent `json:"events"`
	}
	err := json.NewDecoder(r.Body).Decode(&payload)
	if err == nil && payload.Events == nil {
		err = errors.New("no events")
	}
	for _, event := range payload.Events {
		if event.ID == "" {
			err = errors.New("an event without an id")
		}
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}

	var done chan error
	if c.honest {
		done = make(chan error, len(payload.Events))
	}
	for _, event := range payload.Events {
		c.queue <- queued{event, done}
	}
	if c.honest {
		for range payload.Events {
			if batchErr := <-done; batchErr != nil {
				err = batchErr
			}
		}
	}
	if err != nil {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "try again later", http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusOK)
}

// run writes batches until the queue is closed and empty.
func (c *consumer) run() {
	batch := make([]queued, 0, batchSize)
	ticker := time.NewTicker(flushInterval)
	defer ticker.Stop()
	flush := func() {
		if len(batch) == 0 {
			return
		}
		err := c.write(batch)
		if err != nil {
			log.Printf("a batch of %d events failed: %v", len(batch), err)
		}
		for _, item := range batch {
			if item.done != nil {
				item.done <- err
			}
		}
		batch = batch[:0]
	}
	for {
		select {
		case item, open := <-c.queue:
			if !open {
				flush()
				return
			}
			batch = append(batch, item)
			if len(batch) == batchSize {
				flush()
				ticker.Reset(flushInterval)
			}
		case <-ticker.C:
			flush()
		}
	}
}

func (c *consumer) write(batch []queued) error {
	ctx := context.Background()
	tx, err := c.pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(ctx) // does nothing after the commit
	for _, item := range batch {
		e := item.event
		if _, err := tx.Exec(ctx, upsert, e.ID, e.ExternalID, e.FirstName, e.LastName, e.Email, e.Timestamp); err != nil {
			return err
		}
	}
	return tx.Commit(ctx)
}

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "address to listen on")
	database := flag.String("database", "", "connection string")
	honest := flag.Bool("honest", false, "answer after the commit")
	flag.Parse()

	pool, err := pgxpool.Connect(context.Background(), *database)
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	c := &consumer{pool: pool, queue: make(chan queued, queueSize), honest: *honest}
	finished := make(chan struct{})
	go func() {
		c.run()
		close(finished)
	}()

	http.HandleFunc("/webhook", c.webhook)
	server := &http.Server{Addr: *listen}
	stopped := make(chan struct{})
	go func() {
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
		<-signals
		if err := server.Shutdown(context.Background()); err != nil {
			log.Print(err)
		}
		close(stopped)
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatal(err)
	}
	<-stopped
	close(c.queue)
	<-finished
}
