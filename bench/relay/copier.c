/*
 * Two threads that copy the bytes of one connection, one each way: the floor of what any pair of processes in the path
 * of a migration costs. Nothing is read, checked or kept.
 *
 *   copier LISTEN TO      each unix:PATH, or a TCP port on loopback; LISTEN 0: the system chooses
 *
 * Prints the port (0 for a unix path) when it listens. It ends when its standard input does and not with its
 * connection, so that whoever measures it finds it there.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { BUFFER_BYTES = 256 * 1024 };

struct address {
    union {
        struct sockaddr any;
        struct sockaddr_un local;
        struct sockaddr_in tcp;
    } at;
    socklen_t length;
};

struct way {
    int from;
    int to;
};

static int listener;
static struct address target;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static struct address parse(const char *text) {
    struct address address;
    memset(&address, 0, sizeof address);
    if (strncmp(text, "unix:", 5) == 0) {
        address.at.local.sun_family = AF_UNIX;
        if (strlen(text + 5) >= sizeof address.at.local.sun_path) {
            fprintf(stderr, "%s is too long\n", text);
            exit(2);
        }
        strcpy(address.at.local.sun_path, text + 5);
        address.length = sizeof address.at.local;
    } else {
        address.at.tcp.sin_family = AF_INET;
        address.at.tcp.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        address.at.tcp.sin_port = htons((uint16_t)atoi(text));
        address.length = sizeof address.at.tcp;
    }
    return address;
}

static int make_socket(const struct address *address) {
    int fd = socket(address->at.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) die("socket");
    return fd;
}

static void no_delay(int fd) {
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* a unix socket refuses it, and needs none */
}

/* Until its end is closed or fails; passes a half close on. */
static void *copy(void *argument) {
    const struct way *way = argument;
    char *buffer = malloc(BUFFER_BYTES);
    if (buffer == NULL) die("malloc");
    for (;;) {
        ssize_t got = read(way->from, buffer, BUFFER_BYTES);
        if (got <= 0) break;
        for (ssize_t at = 0; at < got;) {
            ssize_t put = write(way->to, buffer + at, (size_t)(got - at));
            if (put <= 0) {
                shutdown(way->from, SHUT_RD); /* whoever writes there is told by his next write */
                goto over;
            }
            at += put;
        }
    }
over:
    shutdown(way->to, SHUT_WR);
    free(buffer);
    return NULL;
}

static void *serve(void *unused) {
    (void)unused;
    int near = accept(listener, NULL, NULL);
    if (near < 0) die("accept");
    int far = make_socket(&target);
    if (connect(far, &target.at.any, target.length) < 0) die("connect");
    no_delay(near);
    no_delay(far);
    struct way forward = {near, far}, backward = {far, near};
    pthread_t thread;
    if (pthread_create(&thread, NULL, copy, &backward) != 0) die("pthread_create");
    copy(&forward);
    pthread_join(thread, NULL);
    close(near);
    close(far);
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: copier LISTEN TO\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    struct address own = parse(argv[1]);
    target = parse(argv[2]);
    listener = make_socket(&own);
    if (bind(listener, &own.at.any, own.length) < 0) die("bind");
    if (listen(listener, 1) < 0) die("listen");
    if (getsockname(listener, &own.at.any, &own.length) < 0) die("getsockname");
    int port = own.at.any.sa_family == AF_INET ? ntohs(own.at.tcp.sin_port) : 0;
    printf("%d\n", port);
    fflush(stdout);
    pthread_t thread;
    if (pthread_create(&thread, NULL, serve, NULL) != 0) die("pthread_create");
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) continue;
    return 0;
}
