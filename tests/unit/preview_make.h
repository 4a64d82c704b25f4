/* preview_make.h - keys, links and tokens, for tests. */
#ifndef TESTS_UNIT_PREVIEW_MAKE_H
#define TESTS_UNIT_PREVIEW_MAKE_H

#include "base/buf.h"
#include "conf/conf.h"
#include "model/link.h"

#define NOW_S INT64_C(1800000000)
#define LINK_ID "labcdefghijklmnopqrstuvwx2"

/* Domain p.example, keys k2 (first) and k1, the shared secret of the
 * protocol's vector, ttl_max 7 days, a host of each kind. */
const struct conf_preview *preview_make_conf(void);

/* A link of i0abc, life 7, port 3000, for an hour from NOW_S, everything
 * allowed. */
struct link preview_make_link(void);

/* Its token, of either form; given: buf_clear(). */
struct buf preview_make_token(const struct conf_preview *conf,
                              const struct link *link);
struct buf preview_make_mitos(const struct conf_preview *conf,
                              const struct link *link);

/* Its cookie's value for that host. */
struct buf preview_make_cookie(const struct conf_preview *conf,
                               const struct link *link, const char *host);

#endif
