// The peer in Go: one INSERT … SELECT FROM unnest(…) for each request, which is one transaction, and the answer after its commit.
//
//	unnest -listen 127.0.0.1:PORT -database 'host=… user=…' [-pool 64]
//
// It guarantees what cxone_sync does for the contract's events: 200 means committed; events of one request are folded by id, and those
// older than the row change nothing, a later one of equal time wins; what would change nothing is not written; an absent field leaves
// its column alone; 400 for what can never be accepted, 503 for what a retry may cure. Rows are written in the order of their ids, so
// that two requests never deadlock.
//
// It does not: tell null from absent; put a bad event aside (the whole request gets 400); take ids that are numbers, or times other than
// RFC 3339; compare all events of one id in a request with the row, but the newest, which brings the others' fields along; count what
// was skipped apart from what changed nothing; keep fields that no column takes.
//
// Tuned: connections for all clients, held open, over the Unix socket; the statement is prepared once for each of them; arrays in the
// binary format, written without a detour; JSON by json-iterator, which takes half of encoding/json's time; the collector runs less often
// (GOGC).
package main

import (
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgconn"
	"github.com/jackc/pgtype"
	"github.com/jackc/pgx/v4/pgxpool"
	jsoniter "github.com/json-iterator/go"
)

//go:embed upsert.sql
var upsert string

const (
	maxBody = 4 << 20
	maxSkew = 5 * time.Minute
)

type event struct {
	ID         string     `json:"id"`
	ExternalID *string    `json:"externalId"`
	FirstName  *string    `json:"firstName"`
	LastName   *string    `json:"lastName"`
	Email      *string    `json:"email"`
	Timestamp  *time.Time `json:"timestamp"`
	position   int
}

type delivery struct {
	Events *[]event `json:"events"`
}

var (
	json        = jsoniter.ConfigCompatibleWithStandardLibrary
	errNoEvents = errors.New("no array \"events\"")
	errNotUTF8  = errors.New("the body is not UTF-8")
)

// read gives a request's events, each complete with a time, or why they can never be accepted.
func read(body []byte) ([]event, error) {
	var d delivery
	if !utf8.Valid(body) {
		return nil, errNotUTF8
	}
	if err := json.Unmarshal(body, &d); err != nil {
		return nil, err
	}
	if d.Events == nil {
		return nil, errNoEvents
	}
	now := time.Now()
	for i := range *d.Events {
		e := &(*d.Events)[i]
		if e.ID == "" {
			return nil, fmt.Errorf("event %d has no id", i)
		}
		if e.Timestamp == nil {
			e.Timestamp = &now
		} else if e.Timestamp.Sub(now) > maxSkew {
			return nil, fmt.Errorf("event %d is of the future", i)
		}
	}
	return *d.Events, nil
}

// fold leaves one event for each id, in the order of the ids, as if they had come one after the other.
func fold(events []event) []*event {
	sorted := make([]*event, len(events))
	for i := range events {
		events[i].position = i
		sorted[i] = &events[i]
	}
	sort.Slice(sorted, func(i, j int) bool {
		a, b := sorted[i], sorted[j]
		return a.ID < b.ID || (a.ID == b.ID && a.position < b.position)
	})
	folded := sorted[:0]
	for _, e := range sorted {
		if n := len(folded); n > 0 && folded[n-1].ID == e.ID {
			folded[n-1].follow(e)
		} else {
			folded = append(folded, e)
		}
	}
	return folded
}

// follow makes of an event what it is together with the next one of its id.
func (e *event) follow(next *event) {
	if next.Timestamp.Before(*e.Timestamp) {
		return
	}
	keep := func(to **string, from *string) {
		if from != nil {
			*to = from
		}
	}
	keep(&e.ExternalID, next.ExternalID)
	keep(&e.FirstName, next.FirstName)
	keep(&e.LastName, next.LastName)
	keep(&e.Email, next.Email)
	e.Timestamp = next.Timestamp
}

// column writes one column of the events as an array in PostgreSQL's binary format.
type column struct {
	events  []*event
	element uint32
	append  func([]byte, *event) []byte // with its length before it
}

func (c column) EncodeBinary(_ *pgtype.ConnInfo, to []byte) ([]byte, error) {
	for _, word := range []uint32{1, 1, c.element, uint32(len(c.events)), 1} {
		to = binary.BigEndian.AppendUint32(to, word)
	}
	for _, e := range c.events {
		to = c.append(to, e)
	}
	return to, nil
}

func text(to []byte, value *string) []byte {
	if value == nil {
		return binary.BigEndian.AppendUint32(to, 0xFFFFFFFF)
	}
	return append(binary.BigEndian.AppendUint32(to, uint32(len(*value))), *value...)
}

var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()

func columns(events []*event) []interface{} {
	texts := func(value func(*event) *string) column {
		return column{events, pgtype.TextOID, func(to []byte, e *event) []byte { return text(to, value(e)) }}
	}
	return []interface{}{
		texts(func(e *event) *string { return &e.ID }),
		texts(func(e *event) *string { return e.ExternalID }),
		texts(func(e *event) *string { return e.FirstName }),
		texts(func(e *event) *string { return e.LastName }),
		texts(func(e *event) *string { return e.Email }),
		column{events, pgtype.TimestamptzOID, func(to []byte, e *event) []byte {
			return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(to, 8), uint64(e.Timestamp.UnixMicro()-epoch))
		}},
	}
}

type server struct {
	pool    *pgxpool.Pool
	buffers sync.Pool
}

// body reads into a buffer that is used again, large enough from the start where the length is told.
func (s *server) body(w http.ResponseWriter, r *http.Request) (*[]byte, error) {
	buffer, _ := s.buffers.Get().(*[]byte)
	if buffer == nil {
		buffer = new([]byte)
	}
	from := http.MaxBytesReader(w, r.Body, maxBody)
	if r.ContentLength > maxBody {
		return buffer, errors.New("the body is too large")
	}
	if r.ContentLength >= 0 {
		if int64(cap(*buffer)) < r.ContentLength {
			*buffer = make([]byte, r.ContentLength)
		}
		*buffer = (*buffer)[:r.ContentLength]
		_, err := io.ReadFull(from, *buffer)
		return buffer, err
	}
	all, err := io.ReadAll(from)
	*buffer = all
	return buffer, err
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "POST only", http.StatusMethodNotAllowed)
		return
	}
	body, err := s.body(w, r)
	var events []event
	if err == nil {
		events, err = read(*body)
	}
	s.buffers.Put(body) // strings of the events are copies
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	received, written := len(events), int64(0)
	if received > 0 {
		// not the request's context: a sender that hangs up is no reason to take back what it sent, nor to lose a connection
		tag, err := s.pool.Exec(context.Background(), upsert, columns(fold(events))...)
		if err != nil {
			log.Print(err)
			var refused *pgconn.PgError
			if errors.As(err, &refused) && strings.HasPrefix(refused.Code, "22") { // a value that no retry cures
				http.Error(w, refused.Message, http.StatusBadRequest)
				return
			}
			w.Header().Set("Retry-After", "1")
			http.Error(w, "try again later", http.StatusServiceUnavailable)
			return
		}
		written = tag.RowsAffected()
	}
	reply := append(make([]byte, 0, 96), `{"received":`...)
	reply = strconv.AppendInt(reply, int64(received), 10)
	reply = append(reply, `,"applied":`...)
	reply = strconv.AppendInt(reply, written, 10)
	reply = append(reply, `,"skipped":`...)
	reply = strconv.AppendInt(reply, int64(received)-written, 10)
	reply = append(reply, `,"dead_lettered":0}`...)
	w.Header().Set("Content-Type", "application/json")
	if _, err := w.Write(reply); err != nil {
		log.Print(err)
	}
}

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "address to listen on")
	database := flag.String("database", "", "connection string")
	size := flag.Int("pool", 64, "connections to the database")
	flag.Parse()
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}

	config, err := pgxpool.ParseConfig(*database)
	if err != nil {
		log.Fatal(err)
	}
	config.MaxConns, config.MinConns = int32(*size), int32(*size)
	config.MaxConnLifetime, config.MaxConnIdleTime = 24*time.Hour, 24*time.Hour
	config.ConnConfig.RuntimeParams["statement_timeout"] = "30s"
	pool, err := pgxpool.ConnectConfig(context.Background(), config)
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()

	mux := http.NewServeMux()
	mux.Handle("/webhook", &server{pool: pool})
	web := &http.Server{Addr: *listen, Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	stopped := make(chan struct{})
	go func() {
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
		<-signals
		if err := web.Shutdown(context.Background()); err != nil {
			log.Print(err)
		}
		close(stopped)
	}()
	if err := web.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatal(err)
	}
	<-stopped
}
