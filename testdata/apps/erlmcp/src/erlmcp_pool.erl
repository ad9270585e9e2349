%% @doc A pool of workers that are lent out: a fixed number, some more under load, and a queue of those who wait. A worker
%% that dies is replaced; what a dead borrower held is taken back.
-module(erlmcp_pool).
-behaviour(gen_server).

-export([start_link/0, transaction/1, transaction/2, checkout/1, checkin/1, status/0]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-define(NAME, {via, erlmcp_registry, pool}).

-record(pool, {
    size, overflow,
    free = [],          % pids
    lent = #{},         % pid => {monitor of its borrower, token of the loan}
    owners = #{},       % monitor => pid
    waiting = queue:new() % {From, monitor of the one who waits, token}
}).

start_link() ->
    gen_server:start_link(?NAME, ?MODULE, [], []).

transaction(Fun) ->
    transaction(Fun, 5000).

transaction(Fun, Timeout) ->
    case checkout(Timeout) of
        {ok, Pid} ->
            try erlmcp_worker:run(Pid, Fun, Timeout) after checkin(Pid) end;
        {error, Reason} ->
            {error, Reason}
    end.

checkout(Timeout) ->
    Token = make_ref(),
    try
        gen_server:call(?NAME, {checkout, Token}, Timeout)
    catch
        exit:{timeout, _} ->
            gen_server:cast(?NAME, {leave, Token}),
            {error, full}
    end.

checkin(Pid) ->
    gen_server:cast(?NAME, {checkin, Pid}).

status() ->
    gen_server:call(?NAME, status, 1000).

init([]) ->
    process_flag(trap_exit, true),
    {ok, Set} = application:get_env(erlmcp, pool),
    #{size := Size, overflow := Overflow} = Set,
    {ok, #pool{size = Size, overflow = Overflow, free = [new() || _ <- lists:seq(1, Size)]}}.

handle_call({checkout, Token}, From, P = #pool{free = [Pid | Free]}) ->
    {reply, {ok, Pid}, lend(Pid, From, Token, P#pool{free = Free})};
handle_call({checkout, Token}, From, P = #pool{free = [], size = Size, overflow = Overflow, lent = Lent}) ->
    case map_size(Lent) < Size + Overflow of
        true ->
            Pid = new(),
            {reply, {ok, Pid}, lend(Pid, From, Token, P)};
        false ->
            {Caller, _} = From,
            Ref = erlang:monitor(process, Caller),
            {noreply, P#pool{waiting = queue:in({From, Ref, Token}, P#pool.waiting)}}
    end;
handle_call(status, _From, P) ->
    {reply, #{size => P#pool.size, overflow => P#pool.overflow, free => length(P#pool.free),
        lent => map_size(P#pool.lent), waiting => queue:len(P#pool.waiting)}, P}.

handle_cast({checkin, Pid}, P) ->
    {noreply, back(Pid, P)};
%% Who left may have been lent a worker in the same moment.
handle_cast({leave, Token}, P = #pool{lent = Lent}) ->
    case [Pid || {Pid, {_, T}} <- maps:to_list(Lent), T =:= Token] of
        [Pid] -> {noreply, back(Pid, P)};
        [] -> {noreply, leave(fun({_, _, T}) -> T =:= Token end, P)}
    end.

%% A borrower or one who waits is gone, or a worker is.
handle_info({'DOWN', Ref, process, _, _}, P = #pool{owners = Owners}) ->
    case Owners of
        #{Ref := Pid} ->
            exit(Pid, kill), % it may be in the middle of something
            {noreply, P};
        _ ->
            {noreply, leave(fun({_, R, _}) -> R =:= Ref end, P)}
    end;
handle_info({'EXIT', Pid, _}, P = #pool{free = Free}) ->
    case settle(Pid, P) of
        {ok, Rest} -> {noreply, refill(Rest)};
        error -> {noreply, refill(P#pool{free = lists:delete(Pid, Free)})}
    end;
handle_info(_, P) ->
    {noreply, P}.

new() ->
    {ok, Pid} = supervisor:start_child({via, erlmcp_registry, pool_workers}, []),
    link(Pid),
    Pid.

lend(Pid, {Caller, _}, Token, P) ->
    Ref = erlang:monitor(process, Caller),
    P#pool{lent = (P#pool.lent)#{Pid => {Ref, Token}}, owners = (P#pool.owners)#{Ref => Pid}}.

%% Ends a loan.
settle(Pid, P = #pool{lent = Lent, owners = Owners}) ->
    case maps:take(Pid, Lent) of
        {{Ref, _}, Rest} ->
            erlang:demonitor(Ref, [flush]),
            {ok, P#pool{lent = Rest, owners = maps:remove(Ref, Owners)}};
        error ->
            error
    end.

back(Pid, P) ->
    case settle(Pid, P) of
        {ok, Rest} -> free(Pid, Rest);
        error -> P
    end.

%% A worker that came back goes to the next who waits, or to the others, or away.
free(Pid, P = #pool{waiting = Waiting, free = Free, lent = Lent, size = Size}) ->
    case queue:out(Waiting) of
        {{value, {From, Ref, Token}}, Rest} ->
            erlang:demonitor(Ref, [flush]),
            gen_server:reply(From, {ok, Pid}),
            lend(Pid, From, Token, P#pool{waiting = Rest});
        {empty, _} when length(Free) + map_size(Lent) < Size ->
            P#pool{free = [Pid | Free]};
        {empty, _} ->
            unlink(Pid),
            exit(Pid, shutdown),
            P
    end.

refill(P = #pool{free = Free, lent = Lent, size = Size, waiting = Waiting}) ->
    case length(Free) + map_size(Lent) < Size orelse not queue:is_empty(Waiting) of
        true -> free(new(), P);
        false -> P
    end.

leave(Is, P) ->
    {Gone, Rest} = lists:partition(Is, queue:to_list(P#pool.waiting)),
    [erlang:demonitor(Ref, [flush]) || {_, Ref, _} <- Gone],
    P#pool{waiting = queue:from_list(Rest)}.
