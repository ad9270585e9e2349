%% @doc The socket that clients connect to, and how many requests are being answered.
-module(erlmcp_listener).
-behaviour(gen_server).

-export([start_link/0, socket/0, address/0, busy/1, drain/1]).
-export([init/1, handle_call/3, handle_cast/2]).

-define(NAME, {via, erlmcp_registry, listener}).

start_link() ->
    gen_server:start_link(?NAME, ?MODULE, [], []).

socket() ->
    gen_server:call(?NAME, socket).

%% @doc Where it listens: {Ip, Port}.
address() ->
    {ok, Address} = inet:sockname(gen_server:call(?NAME, socket, 1000)),
    Address.

%% @doc Counts requests in flight, by one more or one less.
busy(N) ->
    atomics:add(persistent_term:get(?MODULE), 1, N).

%% @doc Listens no more, and lets the requests in flight end.
drain(Timeout) ->
    try
        gen_server:call(?NAME, close),
        wait(erlang:monotonic_time(millisecond) + Timeout)
    catch
        exit:_ -> ok
    end.

wait(Deadline) ->
    Late = erlang:monotonic_time(millisecond) >= Deadline,
    case Late orelse atomics:get(persistent_term:get(?MODULE), 1) =< 0 of
        true -> ok;
        false -> timer:sleep(10), wait(Deadline)
    end.

init([]) ->
    persistent_term:put(?MODULE, atomics:new(1, [])),
    {ok, Ip} = inet:parse_address(os:getenv("LISTEN_IP", application:get_env(erlmcp, ip, "127.0.0.1"))),
    Options = [binary, {ip, Ip}, {active, false}, {packet, http_bin}, {reuseaddr, true}, {nodelay, true}, {backlog, 256}],
    case gen_tcp:listen(port(), Options) of
        {ok, Socket} -> {ok, Socket};
        {error, Reason} -> {stop, {cannot_listen, inet:ntoa(Ip), port(), Reason}}
    end.

port() ->
    case os:getenv("PORT", "") of
        "" -> application:get_env(erlmcp, port, 8080);
        Text -> list_to_integer(Text)
    end.

handle_call(socket, _From, Socket) ->
    {reply, Socket, Socket};
handle_call(close, _From, Socket) ->
    {reply, gen_tcp:close(Socket), Socket}.

handle_cast(_, Socket) ->
    {noreply, Socket}.
