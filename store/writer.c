/* writer.c - see writer.h. */
#include "store/writer.h"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/apply.h"
#include "store/file.h"

/* How soon writes of other processes are seen. */
#define LOOK_MS 500
/* A pause after memory was refused. */
#define RETRY_MS 20

struct writer {
    pthread_t thread;
    pthread_mutex_t lock; /* over the five that follow */
    pthread_cond_t wake;
    struct list queue;   /* of units, to the thread */
    struct list batches; /* from the thread */
    bool stop;
    bool started; /* the first batch is there */
    int fd;
    int64_t looked_ms; /* atomic */
    struct file file;  /* the thread's, as is what follows */
    bool quiet;        /* the last batch had no trouble to tell */
};

/* Not clock_ms(): tests make that one stand still, the disk never does. */
int64_t store_writer_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Is there anything in it that the memory does not know? */
static bool is_news(const struct writer *w, const struct batch *b)
{
    return !w->quiet || b->err != E_OK || !b->known || b->note[0] || b->reset ||
           b->rows || !list_empty(&b->units);
}

/* b is taken. */
static void deliver(struct writer *w, struct batch *b)
{
    bool well = b->err == E_OK && b->known;
    uint64_t one = 1;
    ssize_t n;

    if (well)
        __atomic_store_n(&w->looked_ms, store_writer_now_ms(),
                         __ATOMIC_RELAXED);
    if (!is_news(w, b)) {
        store_batch_free(&b);
        return;
    }
    w->quiet = well && !b->note[0];
    pthread_mutex_lock(&w->lock);
    list_push(&w->batches, &b->link);
    w->started = true;
    pthread_cond_broadcast(&w->wake);
    /* Fails only when the counter is full: then it is readable as well. */
    n = write(w->fd, &one, sizeof(one));
    pthread_mutex_unlock(&w->lock);
    (void)n;
}

/* Memory comes back some day; until then nothing can be told to anybody. */
static struct batch *make_batch(void)
{
    static const struct timespec retry = {0, RETRY_MS * 1000000L};
    struct batch *b;

    while (!(b = store_batch_new()))
        nanosleep(&retry, NULL);
    return b;
}

/* They move into the batch, all with that end. */
static void end_units(struct batch *b, struct list *units, enum err err)
{
    struct list *link;

    while ((link = list_pop(units))) {
        LIST_OF(link, struct unit, link)->err = err;
        list_push(&b->units, link);
    }
}

static void fail_units(struct batch *b, enum err err)
{
    for (struct list *at = b->units.next; at != &b->units; at = at->next)
        LIST_OF(at, struct unit, link)->err = err;
}

static int64_t newest_ms(const struct unit *u, int64_t so_far)
{
    for (unsigned i = 0; i < u->count; i++) {
        const struct step *s = &u->steps[i];

        if (s->change.kind == CHANGE_PUT_IDEMPOTENCY &&
            s->record->idempotency.at_ms > so_far)
            so_far = s->record->idempotency.at_ms;
        if (s->change.kind == CHANGE_PUT_LINK &&
            s->record->linked.link->created_ms > so_far)
            so_far = s->record->linked.link->created_ms;
    }
    return so_far;
}

/* One transaction for all. */
static void write_units(struct writer *w, struct batch *b, struct list *units)
{
    struct file *f = &w->file;
    struct list *link;
    int64_t at_ms = 0;

    b->err = store_file_begin(f, b);
    while (b->err == E_OK && (link = list_pop(units))) {
        struct unit *u = LIST_OF(link, struct unit, link);

        list_push(&b->units, link);
        b->err = store_apply(f, u);
        at_ms = newest_ms(u, at_ms);
    }
    if (b->err == E_OK)
        b->err = store_apply_age(f, b, at_ms);
    if (b->err == E_OK) {
        b->err = store_file_commit(f, b);
    } else {
        store_batch_note(b, LOG_ERROR, "store %s: %s", f->path, f->sql.why);
        store_file_undo(f, b);
    }
    if (b->err != E_OK) {
        end_units(b, units, E_STORE);
        fail_units(b, E_STORE);
    }
}

/* Does anybody want something written? */
static bool wants_write(struct list *units)
{
    for (struct list *at = units->next; at != units; at = at->next)
        if (LIST_OF(at, struct unit, link)->count > 0)
            return true;
    return false;
}

static void turn(struct writer *w, struct list *units)
{
    struct batch *b = make_batch();
    bool writes = wants_write(units);

    if (!writes || !store_file_same(&w->file)) {
        b->err = store_file_look(&w->file, b);
        if (!writes || b->err != E_OK || !b->known) {
            end_units(b, units, writes ? E_STORE : b->err);
            deliver(w, b);
            return;
        }
        deliver(w, b); /* it was opened anew: the memory is told first */
        b = make_batch();
    }
    write_units(w, b, units);
    deliver(w, b);
    store_sql_checkpoint(&w->file.sql);
}

/* Wait for units, for the end, or for the time to look.  true: go on. */
static bool await(struct writer *w, int64_t look_ms, struct list *units)
{
    struct timespec until = {look_ms / 1000, look_ms % 1000 * 1000000};
    struct list *link;
    int rc = 0;
    bool stop;

    pthread_mutex_lock(&w->lock);
    while (list_empty(&w->queue) && !w->stop && rc == 0)
        rc = pthread_cond_timedwait(&w->wake, &w->lock, &until);
    while ((link = list_pop(&w->queue)))
        list_push(units, link);
    stop = w->stop;
    pthread_mutex_unlock(&w->lock);
    return !stop || !list_empty(units);
}

static void *run(void *arg)
{
    struct writer *w = arg;
    struct batch *b = make_batch();
    struct list units;

    list_init(&units);
    b->err = store_file_open(&w->file, b);
    deliver(w, b);
    while (await(w, store_writer_now_ms() + LOOK_MS, &units))
        turn(w, &units);
    store_sql_close(&w->file.sql);
    return NULL;
}

static enum err make_lock(struct writer *w)
{
    pthread_condattr_t attr;
    bool ok;

    if (pthread_mutex_init(&w->lock, NULL) != 0)
        return E_SYSTEM;
    ok = pthread_condattr_init(&attr) == 0;
    if (ok) {
        ok = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0 &&
             pthread_cond_init(&w->wake, &attr) == 0;
        pthread_condattr_destroy(&attr);
    }
    if (!ok)
        pthread_mutex_destroy(&w->lock);
    return ok ? E_OK : E_SYSTEM;
}

/* Signals are the loop's: the thread takes none. */
static enum err make_thread(struct writer *w)
{
    sigset_t all, before;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&w->thread, NULL, run, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc == 0 ? E_OK : E_SYSTEM;
}

void store_writer_take(struct writer *w, struct list *out)
{
    struct list *link;
    uint64_t count;
    ssize_t n;

    pthread_mutex_lock(&w->lock);
    n = read(w->fd, &count, sizeof(count));
    (void)n; /* nothing to read: then there is nothing to take either */
    while ((link = list_pop(&w->batches)))
        list_push(out, link);
    pthread_mutex_unlock(&w->lock);
}

/* Move what there is once the file has been opened, or not. */
static enum err await_first(struct writer *w, struct list *first)
{
    pthread_mutex_lock(&w->lock);
    while (!w->started)
        pthread_cond_wait(&w->wake, &w->lock);
    pthread_mutex_unlock(&w->lock);
    store_writer_take(w, first);
    return LIST_OF(first->next, struct batch, link)->err;
}

enum err store_writer_start(struct str path, struct list *first,
                            struct writer **out)
{
    struct writer *w = mem_new(sizeof(*w));
    enum err err;

    *out = NULL;
    if (!w)
        return E_NOMEM;
    list_init(&w->queue);
    list_init(&w->batches);
    w->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    err = w->fd < 0 ? E_SYSTEM : make_lock(w);
    if (err != E_OK) {
        if (w->fd >= 0)
            close(w->fd);
        mem_free(w);
        return err;
    }
    w->looked_ms = store_writer_now_ms();
    err = store_file_init(&w->file, path);
    if (err == E_OK)
        err = make_thread(w);
    if (err != E_OK) {
        store_writer_free(&w);
        return err;
    }
    err = await_first(w, first);
    if (err != E_OK) {
        store_writer_stop(w);
        store_writer_free(&w);
        return err;
    }
    *out = w;
    return E_OK;
}

int store_writer_fd(const struct writer *w)
{
    return w->fd;
}

void store_writer_put(struct writer *w, struct unit *u)
{
    pthread_mutex_lock(&w->lock);
    list_push(&w->queue, &u->link);
    pthread_cond_broadcast(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

int64_t store_writer_age_ms(const struct writer *w)
{
    return store_writer_now_ms() -
           __atomic_load_n(&w->looked_ms, __ATOMIC_RELAXED);
}

void store_writer_stop(struct writer *w)
{
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_broadcast(&w->wake);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
}

void store_writer_free(struct writer **w)
{
    struct list *link;

    while ((link = list_pop(&(*w)->batches))) {
        struct batch *b = LIST_OF(link, struct batch, link);

        store_batch_free(&b);
    }
    store_file_clear(&(*w)->file);
    pthread_cond_destroy(&(*w)->wake);
    pthread_mutex_destroy(&(*w)->lock);
    close((*w)->fd);
    mem_free(*w);
    *w = NULL;
}
