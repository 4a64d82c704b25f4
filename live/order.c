/* order.c - what every subscription can do.  See order.h. */
#include "live/order.h"

void subscription_pause(struct subscription *s)
{
    s->pause(s);
}

void subscription_resume(struct subscription *s)
{
    s->resume(s);
}

void subscription_free(struct subscription **s)
{
    struct subscription *leaving = *s;

    *s = NULL;
    if (leaving)
        leaving->leave(leaving);
}
